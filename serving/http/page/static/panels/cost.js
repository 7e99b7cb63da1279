import { el, figures, number, span, table } from "../dom.js";

export const id = "cost";
export const title = "Cost of a million predictions";
export const every = 15;

export function draw(element, data) {
  const total = data.parts.reduce((sum, one) => sum + one.cpu_seconds, 0);
  const few = data.core_seconds_a_million === null;
  const price = data.core_hour === null
    ? ["no price is set: put ", el("code", {}, "[http] core_hour = PRICE"), " in headrace.toml"]
    : [`an hour of a core costs ${number(data.core_hour)} ${data.currency} (http.core_hour)`];
  element.replaceChildren(
    figures([
      ["a million predictions", data.cost_a_million === null ? "–" : `${number(data.cost_a_million)} ${data.currency}`],
      ["CPU for a million", few ? "–" : span(data.core_seconds_a_million * 1000)],
      ["CPU for one", few ? "–" : `${number(data.core_seconds_a_million / 1000)} ms`],
    ]),
    few ? el("p", { class: "hint" }, `A cost is said from ${number(data.fewest)} predictions on; ${number(data.predictions)} were made in the ${span(data.over_seconds * 1000)} that are measured.`) : "",
    table("CPU by process", ["process", { name: "CPU", number: true }, { name: "share", number: true }],
      data.parts.map((one) => [one.name, span(one.cpu_seconds * 1000), total ? `${number((100 * one.cpu_seconds) / total, 2)} %` : "–"])),
    el("p", { class: "hint" }, `Measured over ${span(data.over_seconds * 1000)} and ${number(data.predictions)} predictions of all services: the CPU of every process that runs here, also while it waits; `, ...price, "."),
  );
}
