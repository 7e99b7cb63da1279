import { detail } from "../detail.js";
import { closed } from "../dialog.js";
import { el, mark, number, table, time } from "../dom.js";
import { index, silent, start } from "../monitors.js";
import { histograms, indices, legend, widthIn } from "../plots.js";

export const id = "alarms";
export const title = "Open alarms";
export const every = 15;
export const wide = true;

export function leave() {
  closed();
}

export function draw(element, data, { service }) {
  const open = new Set([...element.querySelectorAll("details[open] > summary")].map((one) => one.dataset.key));
  const none = el("p", {}, mark("good", "no alarm is open"), `: ${number(data.judged)} windows of ${number(data.inputs)} inputs were judged`);
  element.replaceChildren(...[
    silent(data),
    data.alarms.length ? null : none,
    ...data.alarms.map((one, place) => drawn(one, service, open.has(one.alarm.id) || (place === 0 && !open.size))),
    data.left_out ? el("p", { class: "hint" }, `${number(data.left_out)} more alarms are open; they are less far beyond their limits.`) : null,
  ].filter(Boolean));
  for (const pending of element.querySelectorAll("details")) fill(pending);
}

// What is closed is drawn when it is opened, so that it knows how wide it is.
const pictures = new WeakMap();

function fill(details) {
  const make = pictures.get(details);
  if (!make || !details.open) return;
  pictures.delete(details);
  details.append(...make(widthIn(details)));
}

function drawn({ alarm, windows }, service, isOpen) {
  const length = alarm.window_end - alarm.window_start;
  const details = el("details", { class: "alarm", open: isOpen, ontoggle: () => fill(details) },
    el("summary", { "data-key": alarm.id }, mark("bad", `${alarm.input} of ${alarm.model} v${alarm.version}`), ` has drifted since ${start(alarm.since, length)}: PSI ${index(alarm.psi)}, limit ${index(alarm.limit)}`));
  pictures.set(details, (width) => [
    el("p", {}, `${alarm.text}. Found `, time(alarm.raised_at), "."),
    el("h3", {}, "Its index in each window, and its limit"),
    indices(windows, `The index of ${alarm.input} in ${windows.length} windows: ${index(windows.at(-1)?.psi)} in the newest`,
      (one) => `${start(one.start, length)}: PSI ${index(one.psi)}, ${one.limit === null ? "no limit" : `limit ${index(one.limit)}`}${one.drifted ? ", drifted" : ""}`, width),
    el("p", { class: "keys" }, legend([["found", "not drifted"]]), " not drifted ", legend([["drifted", "drifted"]]), ` drifted; from ${start(windows[0]?.start ?? alarm.since, length)} on; the line is the limit`),
    el("h3", {}, `Training and the window from ${start(alarm.window_start, length)}`),
    histograms(alarm.cells, [{ name: "training", kind: "trained", counts: alarm.trained }, { name: "predictions", kind: "found", counts: alarm.found }],
      `${alarm.input}: training beside ${number(alarm.rows)} predictions`, width),
    el("p", { class: "keys" }, legend([["trained", "training"]]), ` training, ${start(alarm.trained_from, length)} to ${start(alarm.trained_until, length)} `, legend([["found", "predictions"]]), ` ${number(alarm.rows)} predictions`),
    el("p", {}, el("button", { type: "button", "data-key": `events ${alarm.id}`, onclick: () => detail("alarms", "events", { service, id: alarm.id }, `Events behind the alarm of ${alarm.input}`, events) }, "Events behind it")),
  ]);
  return details;
}

function events(body, data) {
  const all = data.is_all ? "" : "; the window holds more than were read, so these are a part of it";
  body.append(
    el("p", {}, `Of ${number(data.read)} predictions that were read, ${number(data.in_window)} are of this version and window, and ${number(data.in_cells)} of them have values that became more frequent most: `,
      el("strong", {}, data.cells.join(", ") || "none"), `${all}.`),
    data.events.length ? table("Events", ["event", "time (UTC)", "value", "of", { name: "score", number: true }, "its prediction lies at"],
      data.events.map((one) => [String(one.event_id), time(one.event_time), one.value === null ? "null" : String(one.value), one.cell, number(one.score), `partition ${one.partition}, offset ${one.offset}`]))
      : el("p", {}, "None of those that were read has such a value: the topic may not have them any more."),
    ...(data.events.length < data.in_cells ? [el("p", { class: "hint" }, `The first ${number(data.events.length)} of ${number(data.in_cells)}.`)] : []),
  );
}
