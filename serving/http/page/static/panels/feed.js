import { request } from "../requests.js";
import { detail } from "../detail.js";
import { el, mark, moment, number, span, table, time } from "../dom.js";

export const id = "feed";
export const title = "Predictions";
export const every = 2;

export function draw(element, data, { service }) {
  const rows = data.predictions.map((one) => [
    el("button", { type: "button", class: "link", "data-key": `${one.partition}:${one.offset}`, "aria-haspopup": "dialog", onclick: () => receipt(service, one) }, one.event_id),
    number(one.score, 4),
    `${one.model} v${one.version}`,
    one.complete ? mark("good", "whole") : mark("warn", "incomplete"),
    time(one.event_time),
    span(one.took_ms),
  ]);
  element.replaceChildren(
    table("Predictions", ["event", { name: "score", number: true }, "by", "inputs", "event time (UTC)", { name: "took", number: true }], rows),
    el("p", { class: "hint" }, `The newest ${number(rows.length)}; all of them: `, el("code", {}, `headrace tail predictions.${service}`)),
  );
}

/** A dialog with a prediction, by its partition and offset, and its receipt. */
export function receipt(service, one) {
  detail("feed", "receipt", { service, partition: one.partition, offset: one.offset }, `Event ${one.event_id} of ${service}`, (body, { prediction, inputs }) => {
    const { receipt: told } = prediction;
    const reading = (ms, before) => `${moment(ms)}${before ? `, ${span(ms - before)} later` : ""}`;
    const steps = [["event time", moment(prediction.event_time)], ["on Kafka", reading(told.arrived_at)], ["feature vector", reading(told.featured_at, told.arrived_at)],
      ["prediction", reading(told.scored_at, told.featured_at)]];
    const facts = [["score", String(prediction.score)], ["model", `${told.model} v${told.version}, sha256 ${told.sha256.slice(0, 12)}`], ["plan", told.plan],
      ["event's record", told.origin ? `${told.origin.topic}, partition ${told.origin.partition}, offset ${told.origin.offset}` : "wanted over HTTP"],
      ["inputs are whole", told.complete ? "yes" : "no"],
      ...Object.entries(told.batch_as_of).map(([view, ms]) => [`${view} as of`, moment(ms)]),
      ...Object.entries(told.incomplete ?? {}).map(([view, why]) => [`${view} has no row`, why])];
    const why = el("div", { class: "why", "aria-live": "polite" });
    const button = el("button", { type: "button", class: "main", onclick: () => explain(service, one.event_id, why, button) }, "Explain: recompute it from history");
    body.append(table("What it is", ["what", "value"], facts), el("h3", {}, "When (UTC)"), table("When", ["step", "at"], steps), el("h3", {}, "Inputs"),
      table("Inputs", ["input", { name: "value", number: true }], Object.entries(inputs)),
      el("p", {}, button), why);
  });
}

async function explain(service, event, element, button) {
  button.disabled = true;
  element.replaceChildren(el("p", { class: "notice", role: "status" }, `headrace explain ${service} ${event} is running; it takes some seconds`));
  try {
    const { body: reply } = await request(`v1/page/feed/explain?${new URLSearchParams({ service, event })}`);
    if (reply.down) element.replaceChildren(el("p", { class: "notice bad" }, mark("bad", reply.down.why)));
    else if (reply.empty) element.replaceChildren(el("p", { class: "notice" }, reply.empty.say, " ", el("code", {}, reply.empty.command)));
    else explained(element, reply.data);
  } catch (error) {
    element.replaceChildren(el("p", { class: "notice bad" }, mark("bad", error.message)));
  }
  button.disabled = false;
}

function explained(element, data) {
  const rows = data.values.map((one) => [one.feature, one.served ?? "–", one.recomputed,
    one.cause === null ? mark("good", "the same") : mark("bad", one.cause.replaceAll("_", " ")), one.text]);
  element.replaceChildren(el("h3", {}, "What was served, and what history gives"),
    table("Values", ["feature", { name: "served", number: true }, { name: "history", number: true }, "the two are", "what it is"], rows));
  if (!data.picture) {
    element.append(el("p", { class: "hint" }, data.note));
    return;
  }
  const url = URL.createObjectURL(new Blob([data.picture], { type: "image/svg+xml" }));
  element.append(el("img", { src: url, alt: "The windows of the event, and the rows in them", onload: () => URL.revokeObjectURL(url) }));
}
