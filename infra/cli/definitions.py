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
    from infra.local.stack import Served

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
    from infra.local import stack
    from infra.settings import load_settings

    where = folder(project)
    loaded = load(where)
    plans = [loaded.service(service).plan] if service else loaded.plans
    if sql:
        texts = _sql(where, plans, sql)
        if as_json:
            show.json([{"engine": sql, "sql": text} for text in texts])
        else:
            show.out.out("\n".join(texts), end="")
        return
    running = {one.service: one for one in stack.running(where, load_settings(where))}
    if as_json:
        show.json([_as_json(one, running.get(one.service)) for one in plans])
        return
    for one in plans:
        _show(one)
        if one.service in running:
            _show_running(running[one.service], one)


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
    kafka = settings.kafka
    options = sql_options(
        settings.stream,
        bootstrap=kafka.bootstrap or LOCAL,
        client=kafka.properties(),
        isolation_level=kafka.isolation_level,
    )
    return [job_sql(job, options).text for job in job_plans(plans)]


def _as_json(plan: Plan, running: Served | None) -> dict[str, Any]:
    """The plan, what follows from it, and what the stack runs of its service."""
    return {
        "digest": plan.digest,
        "inputs": _columns(plan),
        "computed": _computed(plan),
        "rounded": _rounded(plan),
        "features_topic": plan.features_topic,
        "predictions_topic": plan.predictions_topic,
        "running": _running(running),
        "plan": plan,
    }


def _show(plan: Plan) -> None:
    from infra.cli import show

    show.out.print(f"[bold]{plan.service}[/]  a feature vector for every event of [cyan]{plan.spine}[/], in mode {plan.mode}")
    show.out.print(f"[dim]digest[/] {plan.digest}  [dim]allowed lateness[/] {duration_text(plan.lateness_ms)}\n")
    columns, computed = _columns(plan), _computed(plan)
    show.table(
        f"Inputs of the model, in its order: {len(columns)}",
        ("#", "input", "computed"),
        [(n, column, computed[column]) for n, column in enumerate(columns, 1)],
        right=("#",),
    )
    rounded = _rounded(plan)
    if rounded:
        rule = "a model's inputs are float32, which rounds whole numbers beyond 2^24 = 16,777,216"
        show.out.print(f"[yellow]warning:[/] {rule}; these may have such: {', '.join(rounded)}")
    sources = [(s.name, s.topic, s.event_id, s.time, s.history) for s in plan.sources]
    show.out.print()
    show.table("Sources", ("source", "topic", "event id", "event time", "history"), sources)
    show.out.print(f"\n[dim]topics[/] {plan.features_topic} → {plan.predictions_topic}\n")


def _running(one: Served | None) -> dict[str, Any] | None:
    """What the stack runs of a service."""
    if one is None:
        return None
    return {"digest": one.plan and one.plan.digest, "model_version": one.version}


def _show_running(one: Served, now: Plan) -> None:
    """Which plan and model the stack runs, and how this plan differs."""
    from features.changes import changes
    from infra.cli import show

    if one.plan is None:
        return
    model = "" if one.version is None else f" with model v{one.version}"
    if one.plan == now:
        show.out.print(f"this plan runs{model}; see 'headrace status'\n")
        return
    show.out.print(f"plan {one.plan.short_digest} runs{model}; with 'headrace up' this one takes over:")
    for line in changes(one.plan, now):
        show.out.print(f"  {line}", markup=False)
    show.out.print()


def _columns(plan: Plan) -> tuple[str, ...]:
    """The model's inputs, a list as the columns that it is."""
    from features.inputs.columns import input_columns

    return input_columns(plan, plan.inputs)


def _rounded(plan: Plan) -> tuple[str, ...]:
    """The inputs that a float32 may round."""
    from features.definitions.rules import rounded_inputs
    from features.inputs.columns import window_types

    return rounded_inputs(plan.inputs, plan.window_features, window_types(plan))


def _computed(plan: Plan) -> dict[str, str]:
    """For each input, how it is computed, of what, by which key; and its value where there is nothing."""
    from features.inputs.columns import list_columns

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
        by += f"; at most {duration_text(batch.ttl_ms)} old" if batch.ttl_ms else ""
        found |= {f"{batch.view}__{name}": f"SQL, daily, of {by}" for name in batch.features}
    places = list_columns(plan).items()
    return found | {column: f"{_nth(place)} of {found[feature]}" for column, (feature, place) in places}


def _nth(place: int) -> str:
    """Of a list: its value at ``place`` from the end, in words."""
    return "newest" if place == -1 else f"newest but {-place - 1}"


def _empty(feature: WindowFeature) -> str:
    value = feature.aggregation.row.empty if feature.fill is None else feature.fill
    return "null" if value is None or value == () else f"{value:g}"
