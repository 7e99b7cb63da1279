import { el, figures, mark, number, span, table, time } from "../dom.js";

export const id = "audit";
export const title = "Served against history, and late rows";
export const every = 15;

const CAUSES = { late_row: "late row", late_batch_row: "late batch row", changed_definition: "other definition", incomplete: "incomplete", began_empty: "began empty", unexplained: "unexplained" };

export function draw(element, data, { service }) {
  element.replaceChildren(...(data.report ? audited(data.report) : [el("p", { class: "notice" }, `Nobody has held what ${service} served against history: `, el("code", {}, `headrace audit ${service}`))]),
    el("h3", {}, "Late rows"), ...late(data));
}

function audited(report) {
  const sum = (of) => report.stages.reduce((all, one) => all + of(one), 0);
  const differing = sum((one) => one.differing);
  const unexplained = sum((one) => one.causes.unexplained ?? 0);
  const causes = Object.keys(CAUSES).filter((cause) => report.stages.some((one) => one.causes[cause]) || cause === "unexplained");
  const columns = ["stage", { name: "values", number: true }, { name: "differing", number: true }, ...causes.map((cause) => ({ name: CAUSES[cause], number: true }))];
  const rows = report.stages.map((one) => [one.name, number(one.values), number(one.differing), ...causes.map((cause) => number(one.causes[cause] ?? 0))]);
  const left = [[report.not_in_history, "events are not in history, and were not compared"], [report.without_receipt, "events have a dead letter in place of a prediction"], [report.never_served, "events of history were never served"]];
  return [
    figures([["events", number(report.compared)], ["values differ", number(differing)], ["without a cause", number(unexplained)]]),
    el("p", {}, verdict(report.compared, differing, unexplained)),
    table("Differences by stage and cause", columns, rows),
    ...report.examples.map((line) => el("p", { class: "notice bad" }, mark("bad", line))),
    ...left.filter(([count]) => count).map(([count, said]) => el("p", { class: "hint" }, `${number(count)} ${said}`)),
    el("p", { class: "hint" }, "Events of ", time(report.start), " to before ", time(report.end), ", compared at ", time(report.made_at), " UTC"),
  ];
}

function verdict(compared, differing, unexplained) {
  if (unexplained) return mark("bad", "some differences have no cause: a defect");
  if (!compared) return mark("quiet", "no event was compared: nothing is said");
  return mark("good", differing ? "every difference has its cause" : "what was served is what history gives");
}

function late(data) {
  if (data.late_down) return [el("p", { class: "notice bad" }, mark("bad", `late rows are not known: ${data.late_down}`))];
  if (!data.late.length) {
    return [el("p", { class: "hint" }, data.is_all ? mark("good", "none: every row was in time for the vectors that hold it")
      : mark("quiet", "none among the newest late rows of all services; there are older ones"))];
  }
  const columns = ["view", { name: "rows", number: true }, { name: "vectors without them", number: true }, { name: "values changed", number: true }, { name: "late by, median", number: true }, { name: "at most", number: true }, "the newest (UTC)"];
  const rows = data.late.map((one) => [one.view, number(one.rows), number(one.vectors), number(one.changed), span(one.median_ms), span(one.most_ms), time(one.newest_at)]);
  return [table("Late rows by view", columns, rows), ...(data.is_all ? [] : [el("p", { class: "hint" }, "of the newest late rows of all services; there are more")])];
}
