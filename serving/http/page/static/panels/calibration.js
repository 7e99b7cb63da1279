import { el, moment, number, table } from "../dom.js";
import { choice } from "../monitors.js";
import { reliability, widthIn } from "../plots.js";

export const id = "calibration";
export const title = "Calibration: what was said, what happened";
export const every = 15;

let chosen = null;

export function draw(element, data) {
  const names = data.calibration.map((one) => (one.name === "all" ? "all versions" : one.name));
  const which = Math.max(0, names.indexOf(chosen));
  const bins = data.calibration[which].bins;
  const happened = data.task === "regression" ? "mean label" : "share of label 1";
  const words = (bin) => `scores ${number(bin.lowest)} to ${number(bin.highest)}, mean ${number(bin.mean_score)}: ${happened} ${told(bin.mean_label)}, ${number(bin.rows)} events`;
  const points = bins.map((bin) => ({ x: bin.mean_score, y: bin.mean_label.value, low: bin.mean_label.low, high: bin.mean_label.high, bin }));
  const off = bins.filter((bin) => bin.mean_label.low !== null && (bin.mean_score < bin.mean_label.low || bin.mean_score > bin.mean_label.high));
  element.replaceChildren(
    el("p", { class: "choices" }, choice("Version", "calibration-version", names, which, (place) => {
      chosen = names[place];
      draw(element, data);
      element.querySelector("select").focus();
    })),
    reliability(points, `Calibration of ${names[which]}: ${bins.length} bins of scores, ${off.length} of which have the mean score outside the interval of what happened`, (one) => words(one.bin), widthIn(element)),
    el("p", {}, off.length ? `In ${off.length} of ${bins.length} bins the mean score lies outside the 95 % interval of what happened.` : `In all ${bins.length} bins the mean score lies in the 95 % interval of what happened, where there is one.`),
    el("p", { class: "hint" }, `On the dashed line what was said is what happened. Label ${data.label}, event days before ${data.matured_until}, found ${moment(data.made_at)} UTC.`),
    el("details", { "data-key": "calibration-numbers" }, el("summary", {}, "As numbers"),
      table("Bins of scores", ["scores", { name: "events", number: true }, { name: "mean score", number: true }, { name: happened, number: true }],
        bins.map((bin) => [`${number(bin.lowest)} to ${number(bin.highest)}`, number(bin.rows), number(bin.mean_score), told(bin.mean_label)]))),
  );
}

function told(measure) {
  return measure.low === null ? number(measure.value) : `${number(measure.value)} (${number(measure.low)} to ${number(measure.high)})`;
}
