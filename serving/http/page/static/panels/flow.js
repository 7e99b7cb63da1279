import { lines } from "../charts.js";
import { el, figures, mark, number, span, table } from "../dom.js";
import { widthIn } from "../plots.js";

export const id = "flow";
export const title = "Throughput, lag and latency";
export const every = 2;

const NAMES = {
  event_time_to_arrived: "event → on Kafka",
  arrived_to_featured: "on Kafka → feature vector",
  featured_to_scored: "feature vector → prediction",
};

export function draw(element, data) {
  const streamLag = Object.values(data.stream_lag);
  const hops = data.hops.map((one) => [NAMES[one.name] ?? one.name, number(one.events), span(one.p50_ms), span(one.p99_ms)]);
  const late = data.over_seconds ? `the last ${span(data.over_seconds * 1000)}` : "from the next look on";
  element.replaceChildren(
    figures([
      ["events/s", number(data.events_per_second)],
      ["not scored", number(data.lag)],
      ["not read by the stream job", streamLag.length ? number(streamLag.reduce((sum, one) => sum + one, 0)) : "–"],
      ["not counted by the monitor", number(data.monitor_lag)],
      ["predictions since the start", number(data.scored)],
    ]),
    el("h3", {}, "Events a second"),
    lines([{ name: "events a second", points: data.points.map((one) => [one.at, one.events_per_second]), kind: "blue" }], { label: "Events a second", height: 110, width: widthIn(element) }),
    el("h3", {}, "From Kafka to the prediction, ms: the p99 of both hops, added"),
    lines([{ name: "p99", points: data.points.map((one) => [one.at, one.p99_ms]), kind: "violet" }], { label: "From an event on Kafka to its prediction, the p99 of both hops added", unit: "ms", height: 110, width: widthIn(element) }),
    el("h3", {}, `By hop, ${late}`),
    table("Latency by hop", ["hop", { name: "events", number: true }, { name: "p50", number: true }, { name: "p99", number: true }], hops),
    ...Object.entries(data.stream_lag).map(([topic, lag]) => el("p", { class: "hint" }, `${topic}: ${number(lag)} events were not read at the last checkpoint`)),
    ...data.silent.map((why) => el("p", { class: "notice bad" }, mark("bad", why))),
  );
}
