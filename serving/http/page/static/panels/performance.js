import { el, mark, moment, number, table } from "../dom.js";
import { choice } from "../monitors.js";
import { cohorts, intervals, percent, widthIn } from "../plots.js";

export const id = "performance";
export const title = "Was it right? By day, version and segment, once labels are due";
export const every = 15;
export const wide = true;

const COVERAGE = 0.95;
const OLD_MS = 2 * 86_400_000;
const DAY = "event day";
const VERSION = "model version";
let metric = null;
let by = DAY;

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
  const name = data.metrics.includes(metric) ? metric : data.metrics[0];
  const ways = [DAY, VERSION, ...data.columns];
  const way = ways.includes(by) ? by : DAY;
  const redraw = (key) => {
    draw(element, data, { service });
    element.querySelector(`[data-key="${key}"]`).focus();
  };
  parts.push(
    el("p", { class: "choices" },
      choice("Metric", "performance-metric", data.metrics.map(plain), data.metrics.indexOf(name), (place) => {
        metric = data.metrics[place];
        redraw("performance-metric");
      }),
      choice("By", "performance-by", ways, ways.indexOf(way), (place) => {
        by = ways[place];
        redraw("performance-by");
      })),
    warning(data),
    ...(way === DAY ? days(data, name, element) : parted(data, way, name, element)),
    data.columns.length ? null : el("p", { class: "hint" }, "By segments too: ", el("code", {}, `headrace outcomes ${service} --by COLUMN`), `, or segments of [train.${service}].`),
    data.left_out ? el("p", { class: "hint" }, `${number(data.left_out)} older days, versions and segments are not shown: `, el("code", {}, `headrace outcomes ${service}`)) : null,
  );
  element.replaceChildren(...parts.filter(Boolean));
}

/** All days that are due, and each by itself. */
function days(data, name, element) {
  const measured = data.days.map((one) => figure(one, name));
  const newest = measured.findLast((one) => one.value !== null);
  return [
    cohorts(measured, data.waiting, (one) => one.labelled / one.rows, `${plain(name)} by event day, ${measured.length} days, and ${data.waiting.length} days whose labels are not due. ${newest ? words(newest) : ""}`, words, widthIn(element)),
    el("p", { class: "hint" }, "A dot is a day, the line its 95 % interval; shaded days wait for labels. Bars are the share of labels that is known."),
    numbers("All days that are due", "days", [data.overall], name),
    el("details", { "data-key": "performance-days" }, el("summary", {}, "Days as numbers"), numbers("Days", "day", data.days, name), waitingTable(data)),
  ];
}

/** The days that are due, all together, by version or by the segments of a column. */
function parted(data, way, name, element) {
  const parts = way === VERSION ? data.versions : data.segments.filter((one) => one.column === way);
  const overall = figure(data.overall, name);
  const measured = parts.map((one) => ({ ...figure(one, name), kind: "" })).filter((one) => one.value !== null);
  const label = `${plain(name)} by ${way}, ${measured.length} of ${parts.length} measured; the dashed line is ${words(overall)}`;
  return [
    measured.length && overall.value !== null ? intervals(measured, overall.value, label, words, widthIn(element)) : null,
    el("p", { class: "hint" }, "A dot is the days that are due together, the line its 95 % interval; the dashed line is all of them."),
    numbers(`By ${way}`, way, [data.overall, ...parts], name),
  ];
}

/** A cohort as pictures have it. */
function figure(one, name) {
  return { name: called(one), ...(one.metrics[name] ?? { value: null, low: null, high: null }), rows: one.rows, labelled: one.labelled };
}

function words(one) {
  return `${one.name}: ${one.value === null ? "not measured" : interval(one)}, ${number(one.labelled)} of ${number(one.rows)} labels`;
}

function warning(data) {
  const coverage = data.overall.labelled / data.overall.rows;
  if (coverage >= COVERAGE) return null;
  return el("p", { class: "notice" }, `◆ ${percent(coverage)} of the labels that are due are known: what is measured is of those events, which may be of another kind.`);
}

function numbers(caption, first, some, name) {
  return table(caption, [first, { name: "events", number: true }, { name: "labels", number: true }, { name: plain(name), number: true }, { name: "95 % interval", number: true }],
    some.map((one) => {
      const found = one.metrics[name];
      return [called(one), number(one.rows), percent(one.labelled / one.rows), found ? number(found.value, 4) : "–", found && found.low !== null ? `${number(found.low, 4)} to ${number(found.high, 4)}` : "–"];
    }));
}

function called(one) {
  return one.kind === "matured" ? "all that are due" : one.name;
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
