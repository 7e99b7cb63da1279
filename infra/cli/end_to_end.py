"""``headrace run``, the end-to-end run as a person sees it, and ``headrace replay``, which publishes any days of it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.times import elapsed_text, moment_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible, note
from infra.cli.batch_rows import day_by_day, tell_of_days
from infra.cli.events import due, send
from infra.cli.options import (
    FromOption,
    NoCheckOption,
    RateOption,
    ServiceArgument,
    SkipOption,
    SpeedOption,
    ToOption,
    span,
    span_text,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from features.inputs.signature import Task
    from infra.run.report import Report
    from infra.run.watch import Seen
    from infra.settings import Settings


@app.command(epilog="Example: headrace replay SERVICE --from 2026-01-08 --to 2026-01-15 --rate 4000")
def replay(
    service: ServiceArgument,
    start: FromOption = None,
    end: ToOption = None,
    rate: RateOption = None,
    speed: SpeedOption = None,
    skip: SkipOption = 0,
    no_check: NoCheckOption = False,
    batch_views: Annotated[
        bool, typer.Option("--batch-views/--no-batch-views", help="Write each day's batch rows to the online store.")
    ] = True,
    project: ProjectOption = HERE,
) -> None:
    """Publish the history of all sources of a service as one stream, in order of event time.

    A source whose arrival column holds times is sent in the order of these: what was late is late again. Where the service has
    batch views, the online store is cleared, and given the rows of each day before its first event is sent, when those before it
    have their predictions.
    """
    from infra.cli import show
    from infra.config import resources_of
    from infra.kafka import rights
    from infra.local import stack, topics
    from infra.settings import load_settings
    from jobs.ingest import publish as job

    pace, times, where = due(rate, speed), span(start, end), folder(project)
    settings = load_settings(where)
    client = settings.kafka.client(stack.bootstrap(where, settings))
    plan = next((plan for plan in stack.plans_in_use(where, settings) if plan.service == service), None)
    if plan is None:
        from features.definitions.load import load

        plan = load(where).service(service).plan
    rights.require(client, rights.of_publisher(source.topic for source in plan.sources))
    for source in plan.sources:
        topics.require(client, source.topic)
    bounds, resources = settings.stream.event_times, resources_of(settings.history, where)
    feeds = job.feeds(where, plan, bounds, resources)
    with topics.connected(client), day_by_day(where, settings, plan, client, wanted=batch_views) as days:
        follow, clock = (days.follow, days.clock) if days else (iter, time.monotonic)
        stream = job.merged(feeds, times)
        sent = send(feeds, times, stream, client, pace, skip=skip, no_check=no_check, follow=follow, clock=clock)
    per_second = sent.events / max(sent.seconds, 1e-3)
    took = elapsed_text(sent.seconds)
    sources = "1 source" if len(feeds) == 1 else f"{len(feeds)} sources"
    show.out.print(f"{sent.events:,} events of {sources} in {took} ({per_second:,.0f} events/s)")
    if not sent.events:
        note(f"the histories of {service} have no event{span_text(times)}; see --from and --to")
    if days:
        tell_of_days(days, service)


@app.command(epilog="Example: headrace run --project DIR")
def run(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Train a model, start the local stack, publish the days of [run], compare the stream with history, stop everything.

    The section [run] of headrace.toml says which days. The exit code is 1 where an event has neither a prediction nor a dead
    letter, or where a value differs from history's without an explanation.
    """
    import jobs.training  # noqa: F401 - without the extra 'train' the run ends here, in one line
    from infra.cli import show
    from infra.local import jars
    from infra.run import end_to_end
    from infra.settings import load_settings

    where = folder(project)
    settings = load_settings(where)
    days = end_to_end.run_days(where, settings)
    task = settings.train[days.service].task
    with show.steps() as on_step:
        jars.ensure(on_step)
    with interruptible(lambda: _left(where, settings)):
        end_to_end.prepare(where, days)
    with interruptible(lambda: _left(where, settings)), show.steps() as on_step:
        report = end_to_end.execute(where, settings, on_step, lambda seen: on_step.look(_table(seen, task)))
    if as_json:
        show.json(_as_json(report))
    else:
        _print(report, where)
    if not report.proven:
        raise typer.Exit(1)


def _left(project: Path, settings: Settings) -> str:
    """What an interrupted run leaves: everything is stopped by now, unless that was interrupted too."""
    from infra.local import stack
    from infra.run.end_to_end import RUN_DIR

    of_run = settings.model_copy(update={"run_dir": RUN_DIR})
    running = [row.name for row in stack.status(project, of_run) if row.pid]
    if running:
        return f"{', '.join(running)} still run; stop them with HEADRACE_RUN_DIR={RUN_DIR} headrace down"
    return f"all that it started is stopped; logs and data are in {project / RUN_DIR}"


def _as_json(report: Report) -> dict[str, Any]:
    """The report, and what its tables say beside it."""
    import msgspec

    from infra.cli import comparisons

    whole: dict[str, Any] = msgspec.to_builtins(report)
    whole["parity"] = comparisons.as_json(report.parity)
    return whole | {"adds_up": report.adds_up}


def _table(seen: Seen, task: Task) -> RenderableType:
    """The system at this moment."""
    from rich.table import Table

    from infra.run.watch import HIGH

    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = {
        "event time": moment_text(seen.event_time) if seen.event_time else "",
        "published": f"{seen.published:,}",
        "feature vectors": f"{seen.features:,}",
        "predictions": f"[bold]{seen.predictions:,}[/]",
        "dead letters": f"{seen.dead_letters:,}",
        "events/s": f"{seen.published / max(seen.seconds, 1e-3):,.0f}",
        "p50 ms": f"{seen.p50:,.0f}",
        "p99 ms": f"{seen.p99:,.0f}",
    }
    if task == "classification":
        columns |= {f"≥ {HIGH:g}": f"{seen.high:,}", "labelled 1": f"[green]{seen.high_positive:,}[/]"}
    for name in columns:
        table.add_column(name, justify="right")
    table.add_row(*columns.values())
    return table


def _print(report: Report, project: Path) -> None:
    from infra.cli import comparisons, show

    show.out.print()
    for line in _counts(report):
        show.out.print(line)
    show.out.print()
    names = sorted(report.streamed)
    metrics = [(name.replace("_", " "), f"{report.streamed[name]:.4f}", f"{report.batch[name]:.4f}") for name in names]
    columns: tuple[str, ...] = ("metric", "stream", "history")
    title = "Quality of the predictions on the published days: the stream's, and those that history gives"
    show.table(title, columns, metrics, right=columns[1:])
    show.out.print()
    title = f"Feature values of the stream compared with history's, {report.parity.events:,} events"
    comparisons.print_stages(title, report.parity)
    show.out.print("\n" + ", ".join(f"{name} {number}" for name, number in report.versions.items()), style="dim")
    where = shlex.quote(str(project))
    topic = f"predictions.{report.service}"
    show.out.print(f"Next: headrace up --project {where}, headrace publish, headrace tail {topic}; see README.md")


def _counts(report: Report) -> Iterator[str]:
    """The lines before the tables: what was run, what came out of it, how fast."""
    from infra.run.watch import HIGH

    seen, model = report.seen, report.model
    sign = "[green]=[/]" if report.adds_up else "[red]≠[/]"
    share = f" ({seen.high_positive / seen.high:.0%})" if seen.high else ""
    yield f"[bold]service {report.service}[/], model {model.name} v{model.version}, sha256 {model.sha256[:12]}"
    yield (
        f"  {seen.published:,} events published {sign} {seen.predictions:,} predictions + {seen.dead_letters:,} dead letters, "
        f"{report.events_per_second:,.0f} events/s"
    )
    yield (
        f"  time from event to prediction, including JVM warm-up: p50 {report.p50:,.0f} ms, p99 {report.p99:,.0f} ms; "
        f"second half: p50 {report.warm_p50:,.0f} ms, p99 {report.warm_p99:,.0f} ms"
    )
    if seen.incomplete:
        yield f"  predictions that are not complete, as their receipts say: {seen.incomplete:,}"
    if model.task == "classification":
        yield f"  predictions of {HIGH:g} and more: {seen.high:,}, of them labelled 1: {seen.high_positive:,}{share}"
