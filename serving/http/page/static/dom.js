// Elements made of data. Text is always text: nothing here, and nothing that uses it, parses data as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `el("td", {class: "number"}, "12")`. A property that is a function is a listener; children are nodes or text; null is left out. */
export function el(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same, of SVG. */
export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.replace(/^on/, ""), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined).map((one) => (one instanceof Node ? one : String(one))));
  return made;
}

/**
 * A table. `columns` are names, or {name, number: true}, or {name, long: true} of sentences; `rows` are arrays of cells, each text or a node.
 * On a narrow screen it scrolls by itself, and not the page.
 */
export function table(caption, columns, rows) {
  const known = columns.map((one) => (typeof one === "string" ? { name: one } : one));
  const kind = ({ number, long }) => ({ class: number ? "number" : long ? "long" : null });
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", {},
      el("caption", { class: "hidden" }, caption),
      el("thead", {}, el("tr", {}, known.map((one) => el("th", { scope: "col", ...kind(one) }, one.name)))),
      el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, index) => el("td", kind(known[index]), cell)))))));
}

/** Milliseconds since 1970 as UTC, to the second: `2018-08-08 12:00:01`. */
export function moment(ms) {
  return ms === null || ms === undefined ? "" : new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

/** The same as an element. */
export function time(ms) {
  return ms === null || ms === undefined ? "" : el("time", { datetime: new Date(ms).toISOString() }, moment(ms));
}

/** The day, UTC, of milliseconds since 1970, as an element. */
export function day(ms) {
  return el("time", { datetime: new Date(ms).toISOString() }, moment(ms).slice(0, 10));
}

/** A number as a person reads it: thousands parted, `digits` digits that count where it is small. */
export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value) || Math.abs(value) >= 10 ** digits) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  return value.toLocaleString("en", { maximumSignificantDigits: digits });
}

/** A length of time in milliseconds as a person reads it. */
export function span(ms) {
  if (ms === null || ms === undefined) return "–";
  for (const [unit, length] of [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1000]]) {
    if (Math.abs(ms) >= length) return `${number(ms / length, 2)} ${unit}`;
  }
  return `${number(ms, 2)} ms`;
}

/** A mark with a word and a sign, so that its colour alone says nothing: kind is good, bad, warn or quiet. */
export function mark(kind, text) {
  const signs = { good: "●", bad: "▲", warn: "◆", quiet: "○" };
  return el("span", { class: `mark ${kind}` }, el("span", { "aria-hidden": "true" }, `${signs[kind]}\u00a0`), text);
}

/** Some figures, each with what it is: [[name, value], …]. */
export function figures(pairs) {
  return el("dl", { class: "figures" }, pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}
