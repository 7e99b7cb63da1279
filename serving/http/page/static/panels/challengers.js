import { el, mark, number, table, time } from "../dom.js";
import { intervals, widthIn } from "../plots.js";

export const id = "challengers";
export const title = "Challengers beside production";
export const every = 15;
export const wide = true;

const KINDS = { better: "good", worse: "bad", "not clearly either": "quiet" };
const SHOWN = 8;

export function draw(element, data) {
  const metric = data.pairs[0].metric;
  const drawn = data.pairs.filter((one) => one.metric === metric).slice(0, SHOWN);
  const rows = drawn.map((one) => ({ name: `${called(one)} beside ${one.beside}, ${one.on}`, value: one.difference, low: one.low, high: one.high, kind: KINDS[verdict(one)], pair: one }));
  const better = data.pairs[0].higher_is_better ? "right" : "left";
  element.replaceChildren(...[
    el("p", { class: "hint" }, `${metric}: the challenger's less production's on the same rows, with the 95 % interval; to the ${better} of the dashed line the challenger is better.`),
    intervals(rows, 0, `${metric}: ${name(drawn[0])}, ${words(drawn[0])}`, (one) => `${name(one.pair)}: ${words(one.pair)}`, widthIn(element)),
    table("Comparisons", ["when (UTC)", "challenger", "beside", "on", { name: "rows", number: true }, "metric", { name: "difference", number: true }, "which is", "decided"],
      data.pairs.map((one) => [time(one.at), called(one), one.beside, one.on, number(one.rows), one.metric, told(one), mark(KINDS[verdict(one)], verdict(one)), decided(one)])),
    data.left_out ? el("p", { class: "hint" }, `${number(data.left_out)} older comparisons: `, el("code", {}, "headrace models log")) : null,
  ].filter(Boolean));
}

function called(one) {
  return one.challenger ?? "a newer model";
}

function name(one) {
  return `${called(one)} beside ${one.beside}, on ${number(one.rows)} rows of ${one.on}`;
}

function told(one) {
  return one.low === null ? signed(one.difference) : `${signed(one.difference)} [${signed(one.low)}, ${signed(one.high)}]`;
}

function words(one) {
  return `${told(one)}, ${verdict(one)}; ${decided(one)}`;
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;
}

/** What the interval says; without one, nothing is clear. */
function verdict(one) {
  if (one.low === null) return "not clearly either";
  const [worst, best] = one.higher_is_better ? [one.low, one.high] : [-one.high, -one.low];
  if (worst > 0) return "better";
  return best < 0 ? "worse" : "not clearly either";
}

function decided(one) {
  return one.alias ? `tried in ${one.alias}` : one.decision;
}
