import { el, mark, number, span, table, time } from "../dom.js";

export const id = "batch";
export const title = "Batch views' age";
export const every = 15;
export const wide = true;

const DAY = 86_400_000;
const STALE = 2 * DAY;

export function draw(element, data, { service }) {
  const rows = data.views.map((one) => [one.view, state(one), time(one.newest_as_of), span(one.median_age_ms), span(one.oldest_ms),
    one.ttl_ms ? span(one.ttl_ms) : "none", number(one.used), without(one), one.newest_day ?? "no file"]);
  const bad = data.views.some((one) => isBad(one));
  element.replaceChildren(
    table("Batch views", ["view", "state", "newest row as of (UTC)", { name: "age at the event, median", number: true }, { name: "at most", number: true }, { name: "ttl", number: true }, { name: "predictions with a row", number: true },
      "without", "newest day of its file"], rows),
    el("p", { class: "hint" }, `By the newest ${number(data.predictions)} predictions, up to the event time `, time(data.newest_event), bad ? [". To bring newer rows: ", el("code", {}, `headrace batch-views ${service} --from DAY --to DAY --push`)] : ""),
  );
}

function isBad(one) {
  return Object.keys(one.without).length > 0 || one.used === 0 || (one.oldest_ms ?? 0) > STALE;
}

function state(one) {
  if (one.used === 0) return mark("bad", "no row is used");
  if (Object.keys(one.without).length) return mark("warn", "some have no row");
  return (one.oldest_ms ?? 0) > STALE ? mark("warn", "older than 2 days") : mark("good", "fresh");
}

function without(one) {
  return Object.entries(one.without).map(([why, count]) => `${number(count)} ${why.replaceAll("_", " ")}`).join(", ") || "none";
}
