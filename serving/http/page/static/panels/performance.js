import { el, mark, moment, number, table } from "../dom.js";
import { choice } from "../monitors.js";
import { cohorts, percent, widthIn } from "../plots.js";

export const id = "performance";
export const title = "Was it right? By day, once labels are due";
export const every = 15;
export const wide = true;

const COVERAGE = 0.95;
const OLD_MS = 2 * 86_400_000;
let chosen = null;

export function draw(element, data, { service }) {
  const of = `predictions of ${data.source}, label ${data.label}`;
  const made = `found ${moment(data.made_at)} UTC`;
  const parts = [el("p", { class: "hint" }, `${number(data.predictions)} ${of}; ${number(data.matured)} are of event days before ${data.matured_until}, whose labels are due (${data.delay_days} days after); ${made}.`)];
  if (Date.now() - data.made_at > OLD_MS) parts.push(el("p", { class: "notice" }, "◆ this is older than two days; it is found anew by ", el("code", {}, `headrace outcomes ${service}`)));
  if (!data.metrics.length) {
    parts.push(el("p", {}, mark("quiet", "nothing is measured yet"), data.matured ? ": no label of these events is known" : `: the first day whose labels will be due is ${data.waiting[0]?.name ?? "not known"}`));
    element.replaceChildren(...parts, waitingTable(data));
    return;
  }
  const name = data.metrics.includes(chosen) ? chosen : data.metrics[0];
  const measured = data.days.map((one) => ({ name: one.name, ...(one.metrics[name] ?? { value: null, low: null, high: null }), rows: one.rows, labelled: one.labelled }));
  const words = (one) => `${one.name}: ${one.value === null ? "not measured" : interval(one)}, ${number(one.labelled)} of ${number(one.rows)} labels`;
  const newest = measured.findLast((one) => one.value !== null);
  parts.push(
    el("p", { class: "choices" }, choice("Metric", "performance-metric", data.metrics.map(plain), data.metrics.indexOf(name), (place) => {
      chosen = data.metrics[place];
      draw(element, data, { service });
      element.querySelector("select").focus();
    })),
    cohorts(measured, data.waiting, (one) => one.labelled / one.rows, `${plain(name)} by event day, ${measured.length} days, and ${data.waiting.length} days whose labels are not due. ${newest ? words(newest) : ""}`, words, widthIn(element)),
    el("p", { class: "hint" }, "A dot is a day, the line its 95 % interval; shaded days wait for labels. Bars are the share of labels that is known."),
    warning(data),
    data.left_out ? el("p", { class: "hint" }, `${number(data.left_out)} older days, versions and segments are not shown: `, el("code", {}, `headrace outcomes ${service}`)) : null,
    table("Cohorts", ["", { name: "events", number: true }, { name: "labels", number: true }, { name: plain(name), number: true }, { name: "95 % interval", number: true }],
      [data.overall, ...data.versions, ...data.segments].map((one) => cells(data, one, name))),
    el("details", { "data-key": "performance-days" }, el("summary", {}, "Days as numbers"),
      table("Days", ["day", { name: "events", number: true }, { name: "labels", number: true }, { name: plain(name), number: true }, { name: "95 % interval", number: true }], data.days.map((one) => cells(data, one, name))), waitingTable(data)),
  );
  element.replaceChildren(...parts.filter(Boolean));
}

function warning(data) {
  const coverage = data.overall.labelled / data.overall.rows;
  if (coverage >= COVERAGE) return null;
  return el("p", { class: "notice" }, `◆ ${percent(coverage)} of the labels that are due are known: what is measured is of those events, which may be of another kind.`);
}

function cells(data, one, name) {
  const found = one.metrics[name];
  const called = { matured: "all that are due", version: one.name, segment: `${data.segment} ${one.name}`, day: one.name }[one.kind];
  return [called, number(one.rows), percent(one.labelled / one.rows), found ? number(found.value, 4) : "–", found && found.low !== null ? `${number(found.low, 4)} to ${number(found.high, 4)}` : "–"];
}

function waitingTable(data) {
  if (!data.waiting.length) return "";
  return table("Days whose labels are not due", ["day", { name: "events", number: true }, { name: "labels so far", number: true }, "due once there are labels of"],
    data.waiting.map((one) => [one.name, number(one.rows), percent(one.labelled / one.rows), one.due]));
}

function interval(one) {
  return one.low === null ? number(one.value, 4) : `${number(one.value, 4)} (${number(one.low, 4)} to ${number(one.high, 4)})`;
}

function plain(name) {
  return name.replaceAll("_", " ");
}
