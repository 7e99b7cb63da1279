import { el, mark, moment, span, svg, table, time } from "../dom.js";
import { widthIn } from "../plots.js";

export const id = "timeline";
export const title = "Deployments and alarms";
export const every = 15;
export const wide = true;

const EDGE = 8;
const ROW = 18;
const MOST_BARS = 12;
const LONGEST = 40;
const KINDS = { promote: "good", rollback: "good", decline: "quiet", postpone: "quiet", fail: "bad" }; // any other: warn

export function draw(element, data) {
  const shownAlarms = data.alarms.slice(0, MOST_BARS);
  const down = data.alarms_down ? el("p", { class: "notice bad" }, mark("bad", `alarms are not known: ${data.alarms_down}`)) : "";
  const rows = [
    ...data.changes.map((one) => [one.at, [time(one.at), changeMark(one), what(one), one.who, one.why]]),
    ...data.alarms.map((one) => [one.opened_at ?? one.closed_at, [time(one.opened_at ?? one.closed_at), alarmMark(one), `${one.model} v${one.version}: ${one.text}`, "monitor",
      one.closed_at ? `closed ${moment(one.closed_at)}${one.opened_at ? `, after ${span(one.closed_at - one.opened_at)}` : ""}` : "open"]]),
  ].sort((a, b) => b[0] - a[0]).map(([, cells]) => cells);
  element.replaceChildren(down, picture(data.changes, shownAlarms, widthIn(element)), el("p", { class: "hint" },
    mark("good", "put in service"), " · ", mark("warn", "shadow, canary or removed"), " · ", mark("quiet", "nothing was changed"), " · ", mark("bad", "a retrain that failed; a bar is an alarm, from its opening to its closing")),
    table("Deployments and alarms", ["when (UTC)", "", { name: "what", long: true }, "by", { name: "why", long: true }], rows));
}

function picture(changes, alarms, width) {
  const now = Date.now();
  const times = [...changes.map((one) => one.at), ...alarms.flatMap((one) => [one.opened_at, one.closed_at].filter((ms) => ms !== null))];
  const start = Math.min(...times, now);
  const x = (ms) => EDGE + ((ms - start) / Math.max(now - start, 1)) * (width - 2 * EDGE);
  const height = 30 + ROW * alarms.length + 16;
  const said = `${changes.length} changes and ${alarms.length} alarms from ${moment(start)} to ${moment(now)}; the table has them`;
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said, class: "plot" },
    svg("line", { x1: EDGE, x2: width - EDGE, y1: 14, y2: 14, class: "grid" }),
    changes.map((one) => svg("path", { d: `M${x(one.at)} 6l7 8l-7 8l-7 -8z`, class: `stone ${kindOf(one)}` }, svg("title", {}, `${moment(one.at)} ${what(one)}`))),
    alarms.map((one, index) => {
      const from = x(one.opened_at ?? start);
      const until = x(one.closed_at ?? now);
      const y = 30 + index * ROW;
      const room = from < width / 2;
      return [
        svg("rect", { x: from, y, width: Math.max(until - from, 3), height: ROW - 6, class: `span ${one.closed_at ? "closed" : "open"}` }, svg("title", {}, one.text)),
        svg("text", { x: room ? from + 4 : from - 4, y: y + 10, "text-anchor": room ? "start" : "end", class: room ? "on" : "" }, short(watched(one))),
      ];
    }),
    svg("text", { x: EDGE, y: height - 3 }, moment(start).slice(0, 16)), svg("text", { x: width - EDGE, y: height - 3, "text-anchor": "end" }, "now"));
}

function kindOf(one) {
  return KINDS[one.action] ?? "warn";
}

function changeMark(one) {
  return mark(kindOf(one), one.forced ? `${one.action}, forced` : one.action);
}

function alarmMark(one) {
  return mark(one.closed_at ? "quiet" : "bad", one.closed_at ? "alarm, closed" : "alarm");
}

/** What an alarm is of: an input, of all predictions or of a segment. */
function watched(one) {
  return one.segment ? `${one.input} where ${one.segment}` : one.input;
}

function short(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

/** A change in words. */
function what(one) {
  const version = one.version === null ? "no version" : `${one.model} v${one.version}`;
  const before = one.before && one.before !== version ? `, before ${one.before}` : "";
  if (one.action === "canary") return one.share ? `${version} is the canary, for ${(100 * one.share).toPrecision(2)} % of the keys${before}` : `the canary ${version} has ended`;
  if (one.action === "alias") return one.version === null ? `${one.environment} has ended${before}` : `${one.environment} is ${version}${before}`;
  if (one.action === "remove") return `${version} was removed`;
  if (one.action === "decline") return `a newer model was not taken; ${version} stays`;
  if (one.action === "postpone") return `a retrain was not begun; ${version} stays`;
  if (one.action === "fail") return `a retrain failed; ${version} stays`;
  return `${one.environment} is ${version}${before}`;
}
