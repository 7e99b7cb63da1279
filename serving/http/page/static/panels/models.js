import { day, el, mark, number, table, time } from "../dom.js";

export const id = "models";
export const title = "Models";
export const every = 15;
export const wide = true;

const KINDS = { serving: "good", failed: "bad", silent: "warn", "not reported": "quiet" };
const METRICS = ["average_precision", "auc", "mae", "rmse"];

export function draw(element, data) {
  const rows = data.versions.flatMap((one) => {
    const which = [`${one.model} v${one.version}`];
    const about = () => [metric(one.metrics), trained(one)]; // anew for each row: a node is in one place
    if (!one.environments.length) return [[...which, "", "", "", time(one.created_at), "", "", ...about()]];
    return one.environments.map((place) => [
      ...which,
      el("strong", {}, place.alias),
      place.share === null ? "" : `${number(place.share * 100)} %`,
      mark(KINDS[place.state], place.state),
      time(place.since),
      number(place.events_per_second),
      place.p99_ms === null ? "–" : `${number(place.p99_ms)} ms`,
      ...about(),
    ]);
  });
  const columns = ["version", "environment", { name: "share", number: true }, "state", "since (UTC)", { name: "events/s", number: true },
    { name: "p99", number: true }, "on the test days", "trained on"];
  const errors = data.versions.flatMap((one) => one.environments.flatMap((place) =>
    Object.entries(place.errors).map(([scorer, why]) => el("p", { class: "notice bad" },
      mark("bad", `${one.model} v${one.version} is not in service in ${place.alias} on scorer ${scorer}: ${why}`)))));
  const more = data.others ? el("p", { class: "hint" }, `${data.others} more versions: `, el("code", {}, "headrace models list")) : null;
  element.replaceChildren(...[table("Models", columns, rows), ...errors, more].filter(Boolean));
}

function metric(metrics) {
  const name = METRICS.find((one) => one in metrics) ?? Object.keys(metrics)[0];
  return name ? `${name.replaceAll("_", " ")} ${number(metrics[name], 4)}` : "";
}

function trained(one) {
  return one.trained_from === null || one.trained_until === null ? "elsewhere" : [day(one.trained_from), " to before ", day(one.trained_until)];
}
