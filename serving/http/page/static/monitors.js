// What the panels of a monitor share: that it is silent, which version is shown, and how its values are read.

import { el, mark, moment } from "./dom.js";

/** Beside data that a monitor left, that it is gone; nothing where it runs. */
export function silent(data) {
  return data.silent_since === null ? null : el("p", { class: "notice bad" },
    mark("bad", `the monitor has saved nothing since ${moment(data.silent_since)} UTC, so this is of before; is it running? `), el("code", {}, "headrace status"));
}

/** A choice of what is shown; it calls `chosen` with the place of the one that was taken. */
export function choice(label, key, names, selected, chosen) {
  const select = el("select", { "data-key": key }, names.map((name, place) => el("option", { value: place, selected: place === selected }, name)));
  select.addEventListener("change", () => chosen(Number(select.value)));
  return el("label", { class: "choice" }, `${label} `, select);
}

/** The start of a window, as short as it can be: a day, or a day and an hour. */
export function start(ms, length) {
  return moment(ms).slice(0, length >= 86_400_000 ? 10 : 16);
}

export function version(one) {
  return `${one.model} v${one.version}`;
}

/** An index as it is told everywhere: three digits after the point. */
export function index(value) {
  return value === null || value === undefined ? "–" : value.toFixed(3);
}
