"""``headrace run``, the main job as a person sees it, and ``headrace replay``, which publishes its days."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from features.times import Span, utc_ms
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder
from infra.cli.events import due
from infra.cli.history import ServiceArgument

if TYPE_CHECKING:
    from rich.console import RenderableType

    from infra.run.report import Report
    from infra.run.watch import Seen


@app.command(epilog="Example: headrace replay fraud --from 2018-08-08 --to 2018-08-15 --rate 4000")
def replay(
    service: ServiceArgument,
    start: Annotated[str | None, typer.Option("--from", help="From this event time, UTC.", metavar="DATE")] = None,
    end: Annotated[str | None, typer.Option("--to", help="To before this event time, UTC.", metavar="DATE")] = None,
    rate: Annotated[float | None, typer.Option(help="Events a second; none: flat out.", min=0.001)] = None,
    speed: Annotated[float | None, typer.Option(help="This many times as fast as it happened.", min=0.001)] = None,
    project: ProjectOption = HERE,
) -> None:
    """Publish the history of all sources of a service as one stream, in order of event time."""
    from infra.cli import show
    from infra.local import stack, topics
    from infra.settings import load_settings
    from jobs.ingest import publish as job

    pace = due(rate, speed)
    where = folder(project)
    settings = load_settings(where)
    client = settings.kafka.client(stack.bootstrap(where, settings))
    plan = next((plan for plan in stack.plans_in_use(where, settings) if plan.service == service), None)
    if plan is None:
        from features.definitions.load import load

        plan = load(where).service(service).plan
    for source in plan.sources:
        topics.require(client, source.topic)
    feeds = [job.feed(where / source.history, source.topic, [plan]) for source in plan.sources]
    with show.sending(None) as on_progress, topics.connected(client):
        sent = job.publish(job.merged(feeds, Span(utc_ms(start), utc_ms(end))), client, pace, on_progress)
    per_second = sent.events / max(sent.seconds, 1e-3)
    show.out.print(f"{sent.events:,} events of {len(feeds)} sources in {sent.seconds:.1f} s ({per_second:,.0f} events/s)")


@app.command(epilog="Example: headrace run --project examples/fraud")
def run(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Do it all once: history, model, Kafka, stream job and scorer, a week of events, a report; then stop it all."""
    from infra.cli import show
    from infra.local import jars
    from infra.run import end_to_end
    from infra.settings import load_settings

    where = folder(project)
    settings = load_settings(where)
    with show.steps() as on_step:
        jars.ensure(on_step)
    if settings.run:
        end_to_end.prepare(where, settings.run)
    with show.steps() as on_step:
        report = end_to_end.execute(where, on_step, lambda seen: on_step.look(_table(seen)))
    if as_json:
        show.json(report)
    else:
        _print(report, f"{where}")
    if not report.adds_up or report.parity.unexplained:
        raise typer.Exit(1)


def _table(seen: Seen) -> RenderableType:
    """The system at this moment."""
    from rich.table import Table

    day = datetime.fromtimestamp(seen.event_time / 1000, UTC) if seen.event_time else None
    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = {
        "event time": f"{day:%Y-%m-%d %H:%M}" if day else "",
        "published": f"{seen.published:,}",
        "feature vectors": f"{seen.features:,}",
        "predictions": f"[bold]{seen.predictions:,}[/]",
        "dead letters": f"{seen.dead_letters:,}",
        "events/s": f"{seen.published / max(seen.seconds, 1e-3):,.0f}",
        "p50 ms": f"{seen.p50:.0f}",
        "p99 ms": f"{seen.p99:.0f}",
        "alerts": f"{seen.alerts:,}",
        "caught": f"[green]{seen.caught:,}[/]",
    }
    for name in columns:
        table.add_column(name, justify="right")
    table.add_row(*columns.values())
    return table


def _print(report: Report, project: str) -> None:
    from infra.cli import show

    seen, model = report.seen, report.model
    sign = "[green]=[/]" if report.adds_up else "[red]≠[/]"
    show.out.print(f"\n[bold]{report.service}[/]: {model.name} version {model.version}, sha256 {model.sha256[:12]}")
    show.out.print(
        f"  {seen.published:,} published {sign} {seen.predictions:,} predicted + {seen.dead_letters:,} dead letters, "
        f"{report.events_per_second:,.0f} events/s"
    )
    show.out.print(
        f"  event to prediction: p50 {report.warm_p50:.0f} ms, p99 {report.warm_p99:.0f} ms in the second half; "
        f"{report.p50:.0f} and {report.p99:.0f} ms from the cold start on"
    )
    share = f"{seen.caught / seen.alerts:.0%}" if seen.alerts else "none"
    show.out.print(f"  {seen.alerts:,} alerts, {seen.caught:,} of them fraud ({share})\n")
    names = sorted(report.streamed)
    rows = [(name.replace("_", " "), f"{report.streamed[name]:.4f}", f"{report.batch[name]:.4f}") for name in names]
    show.table("quality on the scored days", ("metric", "streamed", "batch"), rows, right=("streamed", "batch"))
    show.out.print()
    stages = [
        (
            s.stage,
            f"{s.values:,}",
            f"{s.differing:,}",
            f"{s.explained:,}",
            f"[{'red' if s.unexplained else 'green'}]{s.unexplained:,}[/]",
        )
        for s in report.parity.stages
    ]
    columns = ("windows", "values", "differing", "of late rows", "unexplained")
    show.table(f"stream against batch, {report.parity.events:,} events", columns, stages, right=columns[1:])
    for stage in report.parity.stages:
        for example in stage.examples:
            show.out.print(f"  [red]{example}[/]")
    show.out.print("\n" + ", ".join(f"{name} {number}" for name, number in report.versions.items()), style="dim")
    show.out.print(
        f"Next: headrace up --project {project}, headrace publish, headrace tail predictions.{report.service}; see README.md"
    )
