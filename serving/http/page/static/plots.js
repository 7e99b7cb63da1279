// Pictures of distributions and intervals, as SVG. Colours are classes of page.css; what matters is said in words beside each, too.

import { path } from "./charts.js";
import { el, svg } from "./dom.js";

/** How wide a picture in an element is drawn: as wide as it is shown, so that its text keeps its size. */
export function widthIn(element) {
  return Math.max(280, Math.min(1100, element.clientWidth || 640));
}

function picture(width, height, label, ...parts) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "plot" }, parts);
}

function text(x, y, said, properties = {}) {
  return svg("text", { x, y, ...properties }, said);
}

/** From values to places: `scale(0, 1, 40, 600)(0.5)` is 320. */
export function scale(low, high, from, to) {
  const length = high - low || 1;
  return (value) => from + ((value - low) / length) * (to - from);
}

/** At most `most` round numbers from `low` to `high`, both inside. */
export function ticks(low, high, most = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high * (1 + 1e-12); at += 1) found.push(Number((at * step).toPrecision(12)));
  return found;
}

export function percent(share) {
  return `${(share * 100).toLocaleString("en", { maximumSignificantDigits: 3 })} %`;
}

/** Histograms side by side: `series` are {name, kind, counts}, drawn as shares of their sums. */
export function histograms(cells, series, label, width) {
  const shares = series.map((one) => {
    const sum = one.counts.reduce((total, count) => total + count, 0);
    return one.counts.map((count) => (sum ? count / sum : 0));
  });
  const most = Math.max(...shares.flat(), 1e-9);
  const y = scale(0, most, 170, 14);
  const step = (width - 50) / cells.length;
  const bar = (step * 0.8) / series.length;
  const lines = ticks(0, most, 4).map((at) => [svg("line", { class: "grid", x1: 44, x2: width, y1: y(at), y2: y(at) }), text(40, y(at) + 4, percent(at), { "text-anchor": "end" })]);
  const bars = shares.map((own, which) => own.map((share, place) =>
    svg("rect", { class: `bar ${series[which].kind}`, x: 46 + place * step + step * 0.1 + which * bar, width: bar, y: y(share), height: 170 - y(share) },
      svg("title", {}, `${series[which].name}, ${cells[place]}: ${percent(share)} (${series[which].counts[place].toLocaleString("en")})`))));
  const every = Math.ceil(14 / step);
  const names = cells.map((cell, place) => {
    if (place % every) return null; // the table has them all
    const x = 46 + (place + 0.5) * step;
    return text(x, 184, cell.length > 18 ? `${cell.slice(0, 17)}…` : cell, { "text-anchor": "end", transform: `rotate(-35 ${x} 184)` });
  });
  return picture(width, 250, label, lines, bars, names);
}

/** A small line of shares, null where there are none; `level` is drawn across. Its top is a fiftieth at least: less is no change to look at. */
export function sparkline(values, level, label) {
  const most = Math.max(level, ...values.filter((one) => one !== null), 0.02);
  const x = scale(0, Math.max(1, values.length - 1), 3, 157);
  const y = scale(0, most, 25, 3);
  const across = svg("line", { class: "level", x1: 0, x2: 160, y1: y(level), y2: y(level) });
  const last = values.at(-1);
  const dot = last === null || last === undefined ? null : svg("circle", { class: "dot", cx: x(values.length - 1), cy: y(last), r: 2.5 });
  return svg("svg", { viewBox: "0 0 160 28", role: "img", "aria-label": label, class: "spark" }, across, svg("path", { class: "line", d: path(values.map((value, place) => [place, value]), x, y) }), dot);
}

/** The index of windows against its limit: a bar for each window, filled where it drifted. `windows` are {start, psi, limit, drifted}, `named` says which one is. */
export function indices(windows, label, said, width, named) {
  const most = Math.max(...windows.flatMap((one) => [one.psi, one.limit ?? 0]), 1e-9);
  const y = scale(0, most, 80, 8);
  const step = (width - 50) / Math.max(1, windows.length);
  const lines = ticks(0, most, 3).map((at) => [svg("line", { class: "grid", x1: 44, x2: width, y1: y(at), y2: y(at) }), text(40, y(at) + 4, at.toString(), { "text-anchor": "end" })]);
  const bars = windows.map((one, place) => {
    const x = 46 + place * step;
    return [
      svg("rect", { class: `bar ${one.drifted ? "drifted" : "found"}`, x: x + step * 0.15, width: step * 0.7, y: y(one.psi), height: Math.max(0.5, 80 - y(one.psi)) }, svg("title", {}, said(one))),
      one.limit === null ? null : svg("line", { class: "limit", x1: x, x2: x + step, y1: y(one.limit), y2: y(one.limit) }),
    ];
  });
  const every = Math.ceil(80 / step) || 1; // their texts would lie over one another
  const names = windows.map((one, place) => {
    if (place % every) return null;
    const x = 46 + place * step;
    return x + 75 > width ? text(width, 94, named(one), { "text-anchor": "end" }) : text(x, 94, named(one));
  });
  return picture(width, 100, label, lines, bars, names);
}

/**
 * Numbers with intervals over days: `points` are {name, value, low, high}; `waiting` are {name, said}, days of which nothing is measured, shaded;
 * `cover` gives the share of labels of a day, drawn below as bars.
 */
export function cohorts(points, waiting, cover, label, said, width) {
  const known = points.filter((one) => one.value !== null);
  const bounds = known.flatMap((one) => [one.value, one.low ?? one.value, one.high ?? one.value]);
  const [low, high] = bounds.length ? [Math.min(...bounds), Math.max(...bounds)] : [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  const days = points.length + waiting.length;
  const x = scale(-0.5, Math.max(1, days) - 0.5, 50, width - 4);
  const y = scale(low - room, high + room, 190, 10);
  const lines = ticks(low - room, high + room, 5).map((at) => [svg("line", { class: "grid", x1: 50, x2: width - 4, y1: y(at), y2: y(at) }), text(46, y(at) + 4, at.toString(), { "text-anchor": "end" })]);
  const shade = waiting.length ? svg("g", {},
    svg("rect", { class: "waiting", x: x(points.length - 0.5), width: x(days - 0.5) - x(points.length - 0.5), y: 10, height: 180 }, svg("title", {}, `labels of ${waiting[0].name} to ${waiting.at(-1).name} are not due`)),
    text((x(points.length - 0.5) + x(days - 0.5)) / 2, 24, "labels not due", { "text-anchor": "middle" })) : null;
  const marks = points.map((one, place) => (one.value === null ? null : svg("g", {},
    one.low === null ? null : svg("line", { class: "interval", x1: x(place), x2: x(place), y1: y(one.low), y2: y(one.high) }),
    svg("circle", { class: "dot", cx: x(place), cy: y(one.value), r: 3.5 }), svg("title", {}, said(one)))));
  const step = x(1) - x(0);
  const bar = scale(0, 1, 232, 202);
  const covered = [...points, ...waiting].map((one, place) => svg("rect", { class: `bar ${place < points.length ? "found" : "early"}`, x: x(place) - step * 0.35, width: step * 0.7, y: bar(cover(one)), height: 232 - bar(cover(one)) },
    svg("title", {}, `${one.name}: ${percent(cover(one))} of the labels are known`)));
  const every = Math.ceil(days / 8) || 1;
  const names = [...points, ...waiting].map((one, place) => (place % every ? null : text(x(place), 248, one.name.slice(5), { "text-anchor": "middle" })));
  return picture(width, 254, label, shade, lines, marks, svg("line", { class: "grid", x1: 50, x2: width - 4, y1: 202, y2: 202 }), text(46, 206, "100 %", { "text-anchor": "end" }), text(46, 232, "labels", { "text-anchor": "end" }), covered, names);
}

/** What was said against what happened: `bins` are {x, y, low, high, rows}; axes are square roots where all is in [0, 1], so that small shares are seen. */
export function reliability(bins, label, said, width) {
  const all = bins.flatMap((one) => [one.x, one.y, one.low ?? one.y, one.high ?? one.y]);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const shares = low >= 0 && high <= 1;
  const root = shares ? Math.sqrt : (value) => value;
  const x = ((place) => (value) => place(root(value)))(scale(root(shares ? 0 : low), root(high), 60, width - 20));
  const y = ((place) => (value) => place(root(value)))(scale(root(shares ? 0 : low), root(high), 300, 14));
  let before = -Infinity;
  const marks = (shares ? [0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1].filter((one) => one <= high) : ticks(low, high, 5)).filter((one) => {
    if (x(one) - before < 40) return false; // its text would lie over the one before
    before = x(one);
    return true;
  });
  const lines = marks.map((at) => [
    svg("line", { class: "grid", x1: 60, x2: width - 20, y1: y(at), y2: y(at) }), text(56, y(at) + 4, shares ? percent(at) : at.toString(), { "text-anchor": "end" }),
    text(x(at), 318, shares ? percent(at) : at.toString(), { "text-anchor": "middle" })]);
  const first = shares ? 0 : low;
  const even = svg("line", { class: "level", x1: x(first), x2: x(high), y1: y(first), y2: y(high) });
  const dots = bins.map((one) => svg("g", {},
    one.low === null ? null : svg("line", { class: "interval", x1: x(one.x), x2: x(one.x), y1: y(one.low), y2: y(one.high) }),
    svg("circle", { class: "dot", cx: x(one.x), cy: y(one.y), r: 4 }), svg("title", {}, said(one))));
  return picture(width, 340, label, lines, even, dots, text((width + 40) / 2, 336, "what was said", { "text-anchor": "middle" }), text(64, 24, "what happened"));
}

/** Numbers with intervals, a line each, beside `level`: `rows` are {name, value, low, high, kind}. */
export function intervals(rows, level, label, said, width) {
  const bounds = rows.flatMap((one) => [one.value, one.low ?? one.value, one.high ?? one.value, level]);
  const [low, high] = [Math.min(...bounds), Math.max(...bounds)];
  const room = (high - low || 1) * 0.06;
  const x = scale(low - room, high + room, 10, width - 10);
  const height = rows.length * 26 + 30;
  const lines = ticks(low - room, high + room, 6).map((at) => [svg("line", { class: "grid", x1: x(at), x2: x(at), y1: 4, y2: height - 22 }), text(x(at), height - 6, at.toString(), { "text-anchor": "middle" })]);
  const beside = svg("line", { class: "level", x1: x(level), x2: x(level), y1: 4, y2: height - 22 });
  const marks = rows.map((one, place) => {
    const y = place * 26 + 22;
    return svg("g", {},
      text(12, y - 6, one.name), one.low === null ? null : svg("line", { class: `interval ${one.kind}`, x1: x(one.low), x2: x(one.high), y1: y, y2: y }),
      svg("circle", { class: `dot ${one.kind}`, cx: x(one.value), cy: y, r: 4 }), svg("title", {}, said(one)));
  });
  return picture(width, height, label, lines, beside, marks);
}

/** What a colour of a picture stands for, beside it. */
export function key(kind, said) {
  return el("span", { class: "key" }, svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, svg("rect", { class: `bar ${kind}`, width: 12, height: 12 })), said);
}
