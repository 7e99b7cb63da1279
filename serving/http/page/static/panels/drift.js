import { detail } from "../detail.js";
import { el, mark, number, table } from "../dom.js";
import { choice, index, silent, start, version } from "../monitors.js";
import { histograms, key, percent, widthIn } from "../plots.js";

export const id = "drift";
export const title = "Drift: each input in each window";
export const every = 15;
export const wide = true;

// A field's shade, by its index as a multiple of its limit; from 1 on it may have drifted, and a dot says so.
const SHADES = [
  [0.25, "s0", "up to a quarter of its limit"], [0.5, "s1", "a half"], [1, "s2", "the limit"], [2, "s3", "twice the limit"], [Infinity, "s4", "more"],
];
const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const WHAT = {
  nulls: "its share of nulls", zeros: "its share of zeros", out_of_range: "values beyond those of training",
  new_values: "values that training did not have", distribution: "its distribution",
};

let chosen = null;
let current = null;

export function draw(element, data, { service }) {
  const names = data.versions.map(version);
  const which = Math.max(0, names.indexOf(chosen));
  const one = data.versions[which];
  const left = element.querySelector(".scroll")?.scrollLeft;
  const ways = [
    el("p", { class: "choices" }, choice("Version", "drift-version", names, which, (place) => {
      chosen = names[place];
      draw(element, data, { service });
      element.querySelector("select").focus();
    })),
    el("p", { class: "keys" }, SHADES.map(([, kind, said]) => key(kind, said)),
      "● drifted; – nothing was said. Arrow keys move, Enter shows the values."),
  ];
  const more = [
    one.left_out ? `${number(one.left_out)} inputs that were nearer to training are not shown.` : "",
    one.unjudged ? `${number(one.unjudged)} windows had too few predictions (monitor.min_events): nothing is said of them.` : "",
    `${number(data.counted)} predictions are counted, ${number(data.late)} came after their window was closed, ${number(data.without_reference)} are of versions without a reference.`,
  ];
  element.replaceChildren(...[silent(data), ...ways, map(one, data.window_ms, service), el("p", { class: "hint" }, more.join(" "))].filter(Boolean));
  element.querySelector(".scroll").scrollLeft = left ?? 1e6; // the newest windows are at the right
}

function map(one, length, service) {
  const fields = one.rows.map((row) => one.starts.map((ms, x) => field(one, row, x, ms, length, service, `${version(one)}/${row.input}/${ms}`)));
  const able = fields.flat().filter((button) => !button.disabled);
  const first = able.find((button) => button.dataset.key === current) ?? fields[0].findLast((button) => able.includes(button)) ?? able[0];
  if (first) first.tabIndex = 0;
  const body = el("tbody", {}, one.rows.map((row, y) => el("tr", {},
    el("th", { scope: "row" }, row.input, row.has_alarm ? [" ", mark("bad", "alarm")] : null), fields[y].map((button) => el("td", {}, button)))));
  body.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    let y = fields.findIndex((row) => row.includes(event.target));
    if (!move || y < 0) return;
    event.preventDefault();
    let x = fields[y].indexOf(event.target);
    let to = null;
    do {
      [y, x] = [y + move[0], x + move[1]];
      to = fields[y]?.[x];
    } while (to?.disabled); // nothing was said there
    if (!to) return;
    event.target.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  });
  body.addEventListener("focusin", (event) => { current = event.target.dataset.key ?? current; });
  return el("div", { class: "scroll", role: "region", "aria-label": `Drift of ${version(one)}` },
    el("table", { class: "heat" },
      el("thead", {}, el("tr", {}, el("td", {}), one.starts.map((ms, x) => el("th", { scope: "col", title: `${number(one.predictions[x])} predictions` }, start(ms, length).slice(5))))), body));
}

function field(one, row, x, ms, length, service, place) {
  const [psi, limit, drifted] = [row.psi[x], row.limit[x], row.drifted[x]];
  const shade = psi === null || !limit ? "none" : SHADES.find(([most]) => psi / limit < most)[1];
  const said = psi === null ? "no values" : `PSI ${index(psi)}, ${limit === null ? "no limit" : `limit ${index(limit)}`}${drifted ? ", drifted" : ""}`;
  const words = `${row.input}, ${start(ms, length)}: ${said}`;
  const show = () => detail("drift", "histogram", { service, model: one.model, version: one.version, input: row.input, start: ms },
    `${row.input} of ${version(one)}, from ${start(ms, length)}`, (body, data) => values(body, data, length));
  return el("button", { type: "button", class: shade, tabindex: -1, "aria-label": words, title: words, "data-key": place, disabled: psi === null, onclick: show },
    el("span", { "aria-hidden": "true" }, drifted ? "●" : psi === null ? "–" : " "));
}

function values(body, data, length) {
  const series = [
    { name: "training", kind: "trained", counts: data.cells.map((cell) => cell.trained) },
    { name: "predictions", kind: "found", counts: data.cells.map((cell) => cell.found) },
  ];
  const cells = data.cells.map((cell) => cell.label);
  const limit = data.limit === null ? "training was too small for a limit" : `limit ${index(data.limit)}`;
  body.append(
    el("p", {}, mark(data.drifted ? "bad" : "good", data.drifted ? "drifted" : "not drifted"), `, most of all ${WHAT[data.what]}: PSI ${index(data.psi)}, ${limit}, JS ${index(data.js)} bits`,
      data.p_value === null ? "" : `, p ${data.p_value < 0.001 ? "< 0.001" : number(data.p_value, 2)} while nothing has changed`),
    histograms(cells, series, `${data.input}: training beside predictions`, widthIn(body)),
    el("p", { class: "keys" }, key("trained", `training, n = ${number(data.trained)}, ${start(data.trained_from, length)} to ${start(data.trained_until, length)}`),
      key("found", `predictions, n = ${number(data.found)}, ${start(data.start, length)} to ${start(data.end, length)}`)),
    table("Values by cell", ["values", { name: "training", number: true }, { name: "predictions", number: true }, { name: "adds to PSI", number: true }],
      data.cells.map((cell) => [cell.label, share(cell.trained, data.trained), share(cell.found, data.found), index(cell.psi)])),
  );
}

function share(count, sum) {
  return `${percent(sum ? count / sum : 0)} (${number(count)})`;
}
