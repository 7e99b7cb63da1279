import { detail } from "../detail.js";
import { el, mark, number, table, time } from "../dom.js";
import { index, silent, start } from "../monitors.js";
import { receipt } from "./feed.js";
import { histograms, indices, key, widthIn } from "../plots.js";

export const id = "alarms";
export const title = "Open alarms";
export const every = 15;
export const wide = true;

// Which alarms are open to be read; what is closed is drawn when it is opened, so that it knows how wide it is.
const read = new Map();

export function draw(element, data, { service }) {
  if (!read.size && data.alarms.length) read.set(data.alarms[0].alarm.id, true);
  const none = el("p", {}, mark("good", "no alarm is open"), `: ${number(data.judged)} windows of ${number(data.inputs)} inputs were judged`);
  element.replaceChildren(...[silent(data), data.alarms.length ? null : none].filter(Boolean));
  for (const one of data.alarms) {
    const details = el("details", { class: "alarm" },
      el("summary", { "data-key": one.alarm.id }, mark("bad", `${one.alarm.input}${one.alarm.segment ? ` where ${one.alarm.segment}` : ""} of ${one.alarm.model} v${one.alarm.version}`),
        ` has drifted since ${start(one.alarm.since, one.alarm.window_end - one.alarm.window_start)}: PSI ${index(one.alarm.psi)}, limit ${index(one.alarm.limit)}`));
    element.append(details);
    const fill = () => {
      if (details.open && details.children.length === 1) details.append(...pictures(one, service, widthIn(details)));
    };
    details.open = read.get(one.alarm.id) ?? false;
    fill();
    details.addEventListener("toggle", () => {
      read.set(one.alarm.id, details.open);
      fill();
    });
  }
  if (data.left_out) element.append(el("p", { class: "hint" }, `${number(data.left_out)} more alarms are open; they are less far beyond their limits.`));
}

function pictures({ alarm, windows }, service, width) {
  const length = alarm.window_end - alarm.window_start;
  const of = alarm.segment ? `${alarm.input} where ${alarm.segment}` : alarm.input;
  return [
    el("p", {}, `${alarm.text}. Found `, time(alarm.raised_at), "."),
    el("h3", {}, alarm.segment ? "Its index in each window in which it drifted, and its limit: of segments no others are kept" : "Its index in each window, and its limit"),
    indices(windows, `The index of ${of} in ${windows.length} windows${alarm.segment ? " in which it drifted" : ""}: ${index(windows.at(-1)?.psi)} in the newest`,
      (one) => `${start(one.start, length)}: PSI ${index(one.psi)}, ${one.limit === null ? "no limit" : `limit ${index(one.limit)}`}${one.drifted ? ", drifted" : ""}`, width, (one) => start(one.start, length)),
    el("p", { class: "keys" }, alarm.segment ? null : key("found", "not drifted"), key("drifted", "drifted"), "the line is the limit"),
    el("h3", {}, `Training and the window from ${start(alarm.window_start, length)}`),
    histograms(alarm.cells, [{ name: "training", kind: "trained", counts: alarm.trained }, { name: "predictions", kind: "found", counts: alarm.found }],
      `${of}: training beside ${number(alarm.rows)} predictions`, width),
    el("p", { class: "keys" }, key("trained", `training, ${start(alarm.trained_from, length)} to ${start(alarm.trained_until, length)}`), key("found", `${number(alarm.rows)} predictions`)),
    el("p", {}, el("button", { type: "button", "data-key": `events ${alarm.id}`, onclick: () => detail("alarms", "events", { service, id: alarm.id }, `Events behind the alarm of ${of}`, (body, found) => events(body, found, service)) }, "Events behind it")),
  ];
}

function events(body, data, service) {
  const all = data.is_all ? "" : "; the window holds more than were read, so these are a part of it";
  body.append(
    el("p", {}, `Of ${number(data.read)} predictions that were read, ${number(data.in_window)} are of this version and window, and ${number(data.in_cells)} of them have values that became more frequent most: `,
      el("strong", {}, data.cells.join(", ") || "none"), `${all}.`),
    data.events.length ? table("Events", ["event", "time (UTC)", "value", "of", { name: "score", number: true }],
      data.events.map((one) => [el("button", { type: "button", class: "link", "aria-haspopup": "dialog", onclick: () => receipt(service, one) }, one.event_id), time(one.event_time), one.value, one.cell, number(one.score)]))
      : el("p", {}, "None of those that were read has such a value: the topic may not have them any more."),
    ...(data.events.length < data.in_cells ? [el("p", { class: "hint" }, `The first ${number(data.events.length)} of ${number(data.in_cells)}.`)] : []),
  );
}
