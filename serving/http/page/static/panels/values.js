import { el, mark, table } from "../dom.js";
import { choice, silent, start, version } from "../monitors.js";
import { percent, sparkline } from "../plots.js";

export const id = "values";
export const title = "Nulls, values out of range, new values";
export const every = 15;
export const wide = true;

// What moved by less than this is not marked; whether it is drift says the panel above.
const MOVED = 0.01;
let chosen = null;

export function draw(element, data) {
  const names = data.versions.map(version);
  const which = Math.max(0, names.indexOf(chosen));
  const one = data.versions[which];
  const changed = one.inputs.filter((input) => parts(input).some(({ trained, shares }) => moved(trained, shares)));
  const rest = one.inputs.filter((input) => !changed.includes(input));
  const span = `${start(one.starts[0], data.window_ms)} to ${start(one.starts.at(-1), data.window_ms)}`;
  element.replaceChildren(...[
    silent(data),
    el("p", { class: "choices" }, choice("Version", "values-version", names, which, (place) => {
      chosen = names[place];
      draw(element, data);
      element.querySelector("select").focus();
    })),
    el("p", { class: "hint" }, `Shares of the values in training and in the windows from ${span}; the dashed line is training's.`),
    changed.length ? inputs("Inputs that changed", changed) : el("p", {}, mark("good", "as in training"), ": no share moved by a hundredth of all values in the newest window"),
    rest.length ? el("details", { "data-key": "values-rest" }, el("summary", {}, rest.length === 1 ? "1 input whose shares are as in training" : `${rest.length} inputs whose shares are as in training`), inputs("Inputs that did not change", rest)) : null,
    one.left_out ? el("p", { class: "hint" }, `${one.left_out} more inputs are not shown: their shares moved less.`) : null,
  ].filter(Boolean));
}

function parts(input) {
  const found = [{ name: "null", trained: input.trained.null, shares: input.nulls }];
  if (input.kind === "number") found.push({ name: "out of range", trained: input.trained.out_of_range, shares: input.out_of_range });
  else found.push({ name: "new", trained: input.trained.new, shares: input.new });
  return found;
}

function moved(trained, shares) {
  return shares.at(-1) !== null && Math.abs(shares.at(-1) - trained) >= MOVED;
}

function inputs(caption, found) {
  const columns = ["input", "what", { name: "training", number: true }, { name: "newest window", number: true }, "over the windows"];
  const rows = found.flatMap((input) => parts(input).map(({ name, trained, shares }) => {
    const newest = shares.at(-1);
    const said = newest === null ? "no values" : percent(newest);
    return [
      input.input, name, percent(trained), moved(trained, shares) ? mark("warn", said) : said,
      sparkline(shares, trained, `${name} of ${input.input}: ${percent(trained)} in training, ${said} in the newest window`),
    ];
  }));
  return table(caption, columns, rows);
}
