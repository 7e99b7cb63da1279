// Small charts as SVG. Each says in words what it shows, to who cannot see it; a colour never stands alone.

import { moment, number, svg } from "./dom.js";

const EDGE = { left: 48, right: 8, top: 8, bottom: 20 };

/**
 * Lines over time. `series` is [{name, points: [[ms, value or null], …], kind}] of one unit; a null is a gap. `kind` is a colour of the page:
 * blue, violet, teal, good, warn, bad. Lines also differ by their dashes. `width` is how wide it is shown, so that its text keeps its size.
 */
export function lines(series, { label, unit = "", height = 140, width }) {
  const points = series.flatMap((one) => one.points.filter(([, value]) => value !== null));
  const times = points.map(([ms]) => ms);
  const [start, end] = times.length ? [Math.min(...times), Math.max(...times)] : [0, 1];
  const top = Math.max(...points.map(([, value]) => value), 0) || 1;
  const x = (ms) => EDGE.left + (end > start ? (ms - start) / (end - start) : 0.5) * (width - EDGE.left - EDGE.right);
  const y = (value) => height - EDGE.bottom - (value / top) * (height - EDGE.top - EDGE.bottom);
  const grid = [0, 0.5, 1].map((part) => [
    svg("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y(part * top), y2: y(part * top), class: "grid" }),
    svg("text", { x: EDGE.left - 5, y: y(part * top) + 4, "text-anchor": "end" }, number(part * top, 2)),
  ]);
  const drawn = series.map((one, index) => svg("path", { d: path(one.points, x, y), class: `line ${one.kind}`, "stroke-dasharray": ["none", "5 3", "2 2"][index % 3] }));
  const said = series.map((one) => `${one.name}: ${last(one.points, unit)}`).join("; ");
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}. ${said}`, class: "plot" },
    grid, drawn,
    svg("text", { x: EDGE.left, y: height - 5 }, times.length ? moment(start).slice(11) : ""),
    svg("text", { x: width - EDGE.right, y: height - 5, "text-anchor": "end" }, times.length ? moment(end).slice(11) : ""));
}

/** The `d` of a line through [[x, value or null], …], with a gap where there is none. */
export function path(points, x, y) {
  let pen = "M";
  return points.map(([ms, value]) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    const to = `${pen}${x(ms).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    return to;
  }).join("");
}

function last(points, unit) {
  const known = points.filter(([, value]) => value !== null);
  return known.length ? `${number(known[known.length - 1][1])} ${unit} at the end, ${number(Math.max(...known.map(([, value]) => value)))} ${unit} at most` : "none";
}
