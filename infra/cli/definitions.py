"""``headrace plan``: what the definitions come to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from features.times import duration_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.plan import Plan, WindowFeature

Engine = Literal["flink", "duckdb"]
LOCAL = "localhost:9092"
"""Stands for the local stack's broker, which has its port when it is up."""


@app.command(epilog="Example: headrace plan SERVICE --project DIR")
def plan(
    service: Annotated[str | None, typer.Argument(help="A feature service; none: all.", show_default=False)] = None,
    sql: Annotated[Engine | None, typer.Option(help="Print the engine's SQL instead.", show_default=False)] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show what a service computes, from what, and its digest."""
    from features.definitions.load import load
    from infra.cli import show

    where = folder(project)
    loaded = load(where)
    plans = [loaded.service(service).plan] if service else loaded.plans
    if sql:
        texts = _sql(where, plans, sql)
        if as_json:
            show.json([{"engine": sql, "sql": text} for text in texts])
        else:
            show.out.out("\n".join(texts), end="")
    elif as_json:
        show.json([_as_json(one) for one in plans])
    else:
        for one in plans:
            _show(one)


def _sql(project: Path, plans: Sequence[Plan], engine: Engine) -> list[str]:
    """The engine's text: for Flink one for each job, which several services may share; for DuckDB one for each service."""
    if engine == "duckdb":
        from features.sql.duckdb import features_sql

        return [features_sql(plan) for plan in plans]
    from features.job import job_plans
    from features.sql.flink import job_sql
    from infra.config import sql_options
    from infra.settings import load_settings

    settings = load_settings(project)
    options = sql_options(settings.stream, bootstrap=settings.kafka.bootstrap or LOCAL)
    return [job_sql(job, options).text for job in job_plans(plans)]


def _as_json(plan: Plan) -> dict[str, Any]:
    """The plan, and what follows from it: its digest, how each input is computed, the topics of its vectors and predictions."""
    return {
        "digest": plan.digest,
        "computed": _computed(plan),
        "features_topic": plan.features_topic,
        "predictions_topic": plan.predictions_topic,
        "plan": plan,
    }


def _show(plan: Plan) -> None:
    from infra.cli import show

    show.out.print(f"[bold]{plan.service}[/]  a feature vector for every event of [cyan]{plan.spine}[/], in mode {plan.mode}")
    show.out.print(f"[dim]digest[/] {plan.digest}  [dim]allowed lateness[/] {duration_text(plan.lateness_ms)}\n")
    computed = _computed(plan)
    show.table(
        "Inputs of the model",
        ("#", "input", "computed"),
        [(n, i, computed[i]) for n, i in enumerate(plan.inputs, 1)],
        right=("#",),
    )
    sources = [(s.name, s.topic, s.event_id, s.time, s.history) for s in plan.sources]
    show.out.print()
    show.table("Sources", ("source", "topic", "event id", "event time", "history"), sources)
    show.out.print(f"\n[dim]topics[/] {plan.features_topic} → {plan.predictions_topic}\n")


def _computed(plan: Plan) -> dict[str, str]:
    """For each input, how it is computed, of what, by which key; and its value where there is nothing."""
    found: dict[str, str] = {}
    for stage in plan.windows:
        by = f"of {stage.source} by {', '.join(stage.key)}"
        for f in stage.features:
            found[f.name] = f"{f.function}({f.column}), {duration_text(f.window_ms)} {by}; else {_empty(f)}"
    for view in plan.on_demand:
        inputs = ", ".join([*view.event_inputs, *(name for name, _ in view.feature_inputs)])
        found |= {f"{view.view}__{name}": f"Python, {view.view}({inputs})" for name in view.outputs}
    for batch in plan.batch:
        by = f"{batch.source} by {', '.join(batch.key)}"
        found |= {f"{batch.view}__{name}": f"SQL, daily, of {by}" for name in batch.features}
    return found


def _empty(feature: WindowFeature) -> str:
    value = feature.aggregation.row.empty if feature.fill is None else feature.fill
    return "null" if value is None else "[]" if value == () else f"{value:g}"
