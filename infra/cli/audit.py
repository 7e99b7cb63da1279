"""``headrace audit``: whether what was served is what history says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from features.times import moment_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible, warn
from infra.cli.options import (
    FromOption,
    HistoryOption,
    PictureOption,
    ServiceArgument,
    ToOption,
    histories,
    picture_file,
    span,
)

if TYPE_CHECKING:
    from features.plan import Plan
    from features.service import Service
    from jobs.audit.audit import Audit, Begins
    from jobs.history.compute import Progress


class Audited(NamedTuple):
    """A service whose topics can be read."""

    service: Service
    reader: dict[str, Any]
    """What a kafka-python consumer is given."""
    on_progress: Progress
    begins: Begins


@app.command(epilog="Example: headrace audit SERVICE --from 2026-01-08 --to 2026-01-15 --out audit.html")
def audit(
    service: ServiceArgument,
    start: FromOption = None,
    end: ToOption = None,
    history: HistoryOption = None,
    out: PictureOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Compare what was served, by the receipts, with what was true, by history.

    Every value that differs has a cause: a row or a batch row that came late, another definition, what the receipt itself says
    is incomplete, or windows that began empty. The exit code is 1 where a value differs without one. Without --from and --to, all
    receipts are compared. What was found is kept in the run folder, for the page of 'headrace serve'.
    """
    from infra.cli import show

    times, others = span(start, end), histories(history)
    with audited(service, folder(project), out) as (loaded, reader, on_progress, begins):
        from jobs.audit.audit import audit

        found = audit(loaded, reader, times, others, on_progress, begins)
        if out is not None:
            from jobs.audit.over_time import draw

            draw(found, out)
    if as_json:
        show.json(_as_json(found))
    else:
        _print(found)
        if out is not None:
            show.out.print(f"\n→ {show.escape(str(out))}")
    for line in _warnings(found, loaded.plan):
        warn(line)
    _leave(found, folder(project))
    if found.found.unexplained:
        raise typer.Exit(1)


@contextmanager
def audited(service: str, where: Path, out: Path | None) -> Iterator[Audited]:
    """Within, the topics of a service of the project are read; ``out``: the picture that is to be drawn of them.

    Raises `SettingError` where it cannot be drawn, there is no such service or topic, or a right to read is missing.
    """
    from infra.cli import show
    from infra.config import with_settings
    from infra.kafka import rights
    from infra.local import stack, topics
    from infra.settings import load_settings, run_folder
    from schemas.topics import predictions

    if out is not None:
        picture_file(out)
    settings = load_settings(where)
    client, reader = (of(stack.bootstrap(where, settings)) for of in (settings.kafka.client, settings.kafka.reader))
    with interruptible(lambda: "nothing was written"), show.progress() as on_progress, topics.connected(client):
        topics.require(client, predictions(service).name)
        from features.definitions.load import load  # slow: after all that is quickly refused

        loaded = with_settings(load(where).service(service), settings)
        rights.require(client, rights.of_audit(loaded.plan))
        checkpoints = stack.Folders(run_folder(where, settings)).checkpoints
        yield Audited(loaded, reader, on_progress, lambda: _begins(loaded, reader, checkpoints))


def _begins(service: Service, reader: Mapping[str, Any], checkpoints: Path) -> Mapping[str, int]:
    """The event times that the topics began with, by source; none where a job was backfilled, or its files are not here."""
    from jobs.stream.beginning import began_empty, first_events

    return first_events(reader, service.plan, service.event_times) if began_empty(checkpoints, service.plan) else {}


def _leave(found: Audit, where: Path) -> None:
    """Write what was found for the page of `headrace serve`, in place of what was there."""
    import time

    from features.disk import keep
    from infra.local import stack
    from infra.local.files import writing
    from infra.settings import load_settings, run_folder
    from jobs.audit.report import report

    folders = stack.Folders(run_folder(where, load_settings(where)))
    with writing(folders.run):
        keep(folders.audit_of(found.service), report(found, round(time.time() * 1000)))


def _as_json(found: Audit) -> dict[str, Any]:
    import msgspec

    from infra.cli import comparisons

    return {**msgspec.to_builtins(found), "found": comparisons.as_json(found.found)}


def _print(found: Audit) -> None:
    from infra.cli import comparisons, show
    from jobs.audit.over_time import summary

    show.out.print(f"[bold]service {show.escape(found.service)}[/], {moment_text(found.start)} to {moment_text(found.end)} UTC")
    show.out.print(f"  {summary(found)}\n")
    comparisons.print_features("What was served, held against history", found.found)


def _warnings(found: Audit, plan: Plan) -> list[str]:
    """What was not compared."""
    said = []
    if found.found.began_empty:
        said.append(
            f"{found.found.began_empty:,} values are of windows that began empty: history has rows from before the topics' first "
            "events; to begin with full windows, start a new stack with 'headrace backfill'"
        )
    if found.found.not_in_history:
        said.append(
            f"history has none of {found.found.not_in_history:,} events that were served: they are not compared; "
            "bring it up to date, or name it with --history SOURCE=FILE"
        )
    if found.without_receipt:
        said.append(f"{found.without_receipt:,} events have a feature vector and no prediction: see 'headrace tail dead_letters'")
    if found.unreadable:
        said.append(f"{found.unreadable:,} records of {plan.predictions_topic} are no predictions: who else writes to it?")
    if found.never_served:
        said.append(f"{found.never_served:,} events of history were never served: they were not published, or are not scored yet")
    if found.late_rows_gone:
        said.append(
            f"of {found.late_rows:,} late rows, Kafka no longer has {found.late_rows_gone:,}: they explain nothing here; "
            f"keep {', '.join(sorted({source.topic for source in plan.sources}))} as long as late_rows"
        )
    return said
