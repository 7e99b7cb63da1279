"""``headrace monitor``: whether what a model sees, and says, is still what it was in training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.times import moment_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible, note
from infra.cli.options import (
    EventsOption,
    FromOption,
    HistoryOption,
    ServiceArgument,
    ToOption,
    histories,
    note_if_empty,
    picture_file,
    span,
)
from infra.cli.services import SettingsOption, log_plainly, settings_of

if TYPE_CHECKING:
    from infra.monitoring import Drift
    from infra.settings import Settings


@app.command(epilog="Example: headrace monitor SERVICE --once --from 2026-02-01 --to 2026-03-01 --picture drift.html")
def monitor(
    service: ServiceArgument,
    once: Annotated[bool, typer.Option("--once", help="Look at history, print what there is to say, and end.")] = False,
    start: FromOption = None,
    end: ToOption = None,
    events: EventsOption = None,
    history: HistoryOption = None,
    model: Annotated[
        str | None, typer.Option(help="With --once: a model of the registry; none: the service's.", show_default=False)
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="With --once: a version or an alias; none: production.", show_default=False)
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="With --once: draw it, a file that ends in .html, .svg or .png.", metavar="FILE", show_default=False),
    ] = None,
    settings: SettingsOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Hold live predictions against training, by windows of event time, and write alarms that open and close.

    It reads the predictions of a service from Kafka until it is stopped, counts the inputs in their receipts, and writes each
    alarm once to the topic 'alarms'. With --once, or any option of it, it scores history instead, needs no Kafka, and prints
    a table.
    """
    of_history = (start, end, events, history, model, version, picture)
    if once or as_json or any(option is not None for option in of_history):
        _over_history(service, folder(project), settings, start, end, events, history, model, version, picture, as_json)
    else:
        _run(service, folder(project), settings)


def _run(service: str, where: Path, written: Path | None) -> None:
    from infra.config import monitor_config
    from infra.kafka import rights
    from infra.local import stack, topics
    from infra.local.files import fresh
    from infra.local.priority import give_way
    from infra.models import references, registry_of
    from infra.retraining.start import retraining_of
    from infra.settings import run_folder
    from schemas.topics import ALARMS, predictions
    from serving.monitor.run import run

    log_plainly()
    settings = settings_of(where, written)
    folders, registry = stack.Folders(run_folder(where, settings)), registry_of(where, settings)
    client = settings.kafka.client(stack.bootstrap(where, settings))
    config = monitor_config(
        settings.monitor,
        service,
        client=client,
        state=folders.monitor,
        isolation_level=settings.kafka.isolation_level,
        ready_file=fresh(folders.ready(stack.monitor_name(service))),
    )
    topics.require(client, predictions(service).name)
    topics.create(client, {ALARMS.name: 1}, ALARMS.config, settings.kafka.replication)
    rights.require(client, rights.of_monitor(service, config.group))
    give_way()
    run(service, references(registry), config, retraining=retraining_of(service, where, settings, written))


def _over_history(
    service: str,
    where: Path,
    written: Path | None,
    start: str | None,
    end: str | None,
    events: str | None,
    history: list[str] | None,
    model: str | None,
    version: str | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    from infra.cli import show
    from infra.config import with_settings
    from infra.models import registry_of
    from schemas.topics import PRODUCTION

    times, others, settings = span(start, end), histories(history), settings_of(where, written)
    if picture is not None:
        picture_file(picture)
    chosen = registry_of(where, settings).get(model or service, version or PRODUCTION)
    with interruptible(lambda: "nothing was written"), show.progress() as on_progress:
        from infra.monitoring import drift_over_history, reference_of

        reference = reference_of(chosen)  # refused before what is slow
        from features.definitions.load import load  # slow

        found = drift_over_history(
            with_settings(load(where).service(service), settings),
            chosen,
            reference,
            settings.monitor,
            start_ms=times.start_ms,
            end_ms=times.end_ms,
            events=events,
            histories=others,
            on_progress=on_progress,
        )
    if picture is not None:
        from infra.cli.monitor_picture import draw

        draw(found, picture)
    if as_json:
        show.json(_as_json(found))
    else:
        _print(found, settings)
        if picture is not None:
            show.out.print(f"\n→ {show.escape(str(picture))}")
    note_if_empty(sum(verdict.rows for verdict in found.verdicts), times, events)


def _as_json(found: Drift) -> dict[str, Any]:
    return {
        "service": found.manifest.service,
        "model": found.manifest.name,
        "version": found.manifest.version,
        "trained_from": found.reference.trained_from,
        "trained_until": found.reference.trained_until,
        "windows": found.verdicts,
        "alarms": found.alarms,
    }


def _print(found: Drift, settings: Settings) -> None:
    from infra.cli import show

    rules, reference = settings.monitor, found.reference
    judged = [verdict for verdict in found.verdicts if verdict.findings]
    trained = f"{moment_text(reference.trained_from)} to {moment_text(reference.trained_until)} UTC"
    show.out.print(f"[bold]{found.manifest.placed}[/] of service {found.manifest.service}, trained on {trained}")
    if judged:
        until = moment_text(judged[-1].start)
        show.out.print(
            f"  {sum(verdict.rows for verdict in judged):,} predictions in {len(judged)} windows of a {rules.window}, the last "
            f"from {until} on\n"
        )
        columns = ("input", "drifted", "PSI", "limit", "JS, bits", "largest PSI", "null", "out of range", "new", "alarm")
        rows = [_row(found, name) for name in found.inputs if found.of(name)]
        show.table("The last window, held against training", columns, rows, right=columns[1:-1])
    for segments in reference.segments:
        watched = sum(bool(one.limits.get(rules.window)) for of_one in segments.histograms for one in of_one)
        show.out.print(f"also by {len(segments.names)} segments of {segments.column}: {watched} inputs of segments are watched")
    if found.alarms:
        show.out.print("\nAlarms, as they open and close", style="bold")
    for alarm in found.alarms:
        colour = "red" if alarm.state == "open" else "green"
        show.out.print(f"[{colour}]{alarm.state}[/] {show.escape(alarm.text)}")
    few = len(found.verdicts) - len(judged)
    if few:
        note(f"{few} windows have fewer than {rules.min_events:,} predictions (monitor.min_events): nothing is said of them")


def _row(found: Drift, name: str) -> tuple[str, ...]:
    findings = found.of(name)
    last = findings[-1]
    of_input = [alarm for alarm in found.alarms if alarm.input == name and not alarm.segment]
    open_since = moment_text(of_input[-1].since) if of_input and of_input[-1].state == "open" else ""
    return (
        name,
        f"{sum(finding.drifted for finding in findings)} of {len(findings)}",
        f"{last.psi:.3f}",
        "none" if last.limit is None else f"{last.limit:.3f}",
        f"{last.js:.3f}",
        f"{max(finding.psi for finding in findings):.3f}",
        f"{last.shares.null:.1%}",
        f"{last.shares.out_of_range:.1%}",
        f"{last.shares.new:.1%}",
        f"since {open_since}" if open_since else "",
    )
