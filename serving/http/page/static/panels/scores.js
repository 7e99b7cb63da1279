import { el, mark, number, table } from "../dom.js";
import { choice, index, silent, start, version } from "../monitors.js";
import { histograms, key, percent, widthIn } from "../plots.js";

export const id = "scores";
export const title = "Scores against training";
export const every = 15;

const chosen = { version: null, window: null };

export function draw(element, data) {
  const names = data.versions.map(version);
  const which = Math.max(0, names.indexOf(chosen.version));
  const one = data.versions[which];
  const judged = one.windows.filter((window) => !window.is_open);
  const shown = one.windows.find((window) => window.start === chosen.window) ?? judged.at(-1) ?? one.windows.at(-1);
  const length = shown.end - shown.start;
  const again = (change) => {
    Object.assign(chosen, change);
    draw(element, data);
    element.querySelector(`[data-key="${"version" in change ? "scores-version" : "scores-window"}"]`)?.focus();
  };
  const sum = (counts) => counts.reduce((total, count) => total + count, 0);
  const trained = `training: ${number(sum(one.trained))} rows, ${start(one.scored_from, length)} to ${start(one.scored_until, length)}`;
  const found = `${number(sum(shown.counts))} predictions, ${start(shown.start, length)} to ${start(shown.end, length)}`;
  const series = [{ name: "training", kind: "trained", counts: one.trained }, { name: "predictions", kind: "found", counts: shown.counts }];
  element.replaceChildren(...[
    silent(data),
    el("p", { class: "choices" },
      choice("Version", "scores-version", names, which, (place) => again({ version: names[place], window: null })),
      choice("Window", "scores-window", one.windows.map((window) => `${start(window.start, length)}${window.is_open ? ", open" : ""}`), one.windows.indexOf(shown), (place) => again({ window: one.windows[place].start }))),
    histograms(one.cells, series, `Scores of ${names[which]}. ${trained}; ${found}`, widthIn(element)),
    el("p", { class: "keys" }, key("trained", trained), key("found", found)),
    said(shown),
    el("details", { "data-key": "scores-numbers" }, el("summary", {}, "As numbers"), table("Scores by cell", ["score", { name: "training", number: true }, { name: "predictions", number: true }],
      one.cells.map((cell, place) => [cell, ...series.map(({ counts }) => `${percent(counts[place] / (sum(counts) || 1))} (${number(counts[place])})`)]))),
  ].filter(Boolean));
}

function said(window) {
  if (window.is_open) return el("p", { class: "hint" }, "Predictions are still counted into this window: nothing is said of it yet.");
  const limit = window.limit === null ? "training was too small for a limit" : `limit ${index(window.limit)}`;
  return el("p", {}, mark(window.drifted ? "bad" : "good", window.drifted ? "drifted" : "as in training"), `: PSI ${index(window.psi)}, ${limit}, JS ${index(window.js)} bits`);
}
