"""``headrace score``: predictions of past events, or of entities as they are now, into a file and a store."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import SettingError
from features.times import Span, duration_ms, moment_text, utc_ms
from infra.cli.app import HERE, ProjectOption, app, folder, interruptible, note, warn
from infra.cli.batch_rows import warn_of_batch_rows
from infra.cli.options import (
    EventsOption,
    FromOption,
    HistoryOption,
    ServiceArgument,
    ToOption,
    histories,
    note_if_empty,
    parquet_file,
    span,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from features.service import Service
    from jobs.predict.store import Storing
    from serving.models.manifest import Model


@app.command(epilog="Example: headrace score SERVICE --entities accounts.parquet --online --holds 25h")
def score(
    service: ServiceArgument,
    out: Annotated[
        Path | None, typer.Option(help="The Parquet file to write; with --online none is needed.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model of the registry; none: the service's.", show_default=False)] = None,
    version: Annotated[str | None, typer.Option(help="A version or an alias; none: the scorer's.", show_default=False)] = None,
    start: FromOption = None,
    end: ToOption = None,
    events: EventsOption = None,
    entities: Annotated[
        str | None,
        typer.Option(
            help="Score entities, no events: rows of keys, and what functions take of an event (docs/batch-predictions.md).",
            metavar="PLACE",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="With --entities: as of this time, UTC; none: now.", metavar="TIME", show_default=False)
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Store each entity's prediction, for GET /v1/predictions of 'headrace serve'.")
    ] = False,
    holds: Annotated[
        str | None,
        typer.Option(
            help="With --online: how long a prediction holds from its time on, 25h say; none: until the next.",
            metavar="DURATION",
            show_default=False,
        ),
    ] = None,
    history: HistoryOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Score past events, or entities as of one time.

    The scores of events are those that the scorer would have given. Entities are rows of keys: their features are as of that
    time. A prediction that is stored is kept until one of a later time is.
    """
    from infra.cli import show
    from infra.config import with_settings
    from infra.models import registry_of
    from infra.settings import load_settings
    from schemas.topics import PRODUCTION

    now_ms = int(time.time() * 1000)
    times, others, where = span(start, end), histories(history), folder(project)
    _check(out, events, entities, at, times, online, holds)
    settings = load_settings(where)
    at_ms = _at(at, now_ms, settings.stream.event_times.span(now_ms))
    holds_ms = None if holds is None else duration_ms("--holds", holds)
    chosen = registry_of(where, settings).get(model or service, version or PRODUCTION)
    by = f"{chosen.manifest.name} v{chosen.manifest.version}"
    with interruptible(lambda: _interrupted(out, online)), show.progress() as on_progress:
        from features.definitions.load import load  # slow: after all that is quickly refused
        from jobs.history.batch_rows import Counted
        from jobs.history.rows_file import write
        from jobs.predict.entities import of_entities
        from jobs.predict.score import by_version, stream_entity_scores, stream_scores
        from serving.models.session import load_model

        of = with_settings(load(where).service(service), settings)
        storing = _storing(of, chosen, now_ms, holds_ms) if online else None
        model_of = partial(load_model(chosen).score_table, plan=of.plan)
        common: dict[str, Any] = {"inputs": chosen.manifest.inputs, "histories": others, "on_progress": on_progress}
        if entities is not None:
            over, tables = of_entities(of), stream_entity_scores(of, model_of, entities, at_ms, **common)
        else:
            start_ms, end_ms = times.start_ms, times.end_ms
            over, tables = of, stream_scores(of, model_of, start_ms=start_ms, end_ms=end_ms, events=events, **common)
        counted, unscored = Counted(over.plan), _Unscored()
        tables = unscored.of(counted.of(by_version(over, tables, chosen.manifest.name, chosen.manifest.version)))
        tables = storing.of(tables) if storing else tables
        rows = write(tables, out).rows if out is not None else sum(table.num_rows for table in tables)
    show.out.print(f"{rows:,} scores by {by}{f' in {show.escape(str(out))}' if out is not None else ''}")
    if storing:
        until = "" if holds_ms is None or entities is None else f", valid until {moment_text(at_ms + holds_ms)}"
        show.out.print(f"{storing.stored:,} predictions stored{until}")
    if entities is None:
        note_if_empty(rows, times, events)
    elif not rows:
        note(f"{entities} has no row")
    unscored.warn(rows)
    warn_of_batch_rows(counted.rows(), service, "events" if entities is None else "entities")


def _storing(of: Service, chosen: Model, now_ms: int, holds_ms: int | None) -> Storing:
    from features.feast.predictions import open_predictions_for_writing
    from jobs.predict.store import Storing

    write, manifest = open_predictions_for_writing(of), chosen.manifest
    return Storing(of.plan, write, model=manifest.name, version=manifest.version, computed_at=now_ms, holds_ms=holds_ms)


def _check(
    out: Path | None, events: str | None, entities: str | None, at: str | None, times: Span, online: bool, holds: str | None
) -> None:
    """Refuse options that do not go together."""
    if out is not None:
        parquet_file(out)
    elif not online:
        raise SettingError("scores go to a file, to the store of predictions, or to both; got neither; give --out, or --online")
    if entities is not None and (events is not None or times != Span()):
        raise SettingError("entities are scored as of one time; got --events, --from or --to beside --entities; give --at alone")
    if at is not None and entities is None:
        raise SettingError("--at is the time of entities; events have theirs; got it without --entities; leave it out")
    if holds is not None and not online:
        raise SettingError("--holds is of predictions that are stored; got it without --online; add --online, or leave it out")


def _at(at: str | None, now_ms: int, possible: Span) -> int:
    """The time as of which entities are scored. Raises `SettingError` for one that no event may have."""
    found = utc_ms(at)
    if found is None:
        return now_ms
    if found not in possible:
        raise SettingError(
            f"--at is a time within stream.max_age_days and stream.max_ahead_ms, as those of events (rule 8); got {at}; "
            "write another"
        )
    return found


def _interrupted(out: Path | None, online: bool) -> str:
    said = [f"{out} was not written"] if out is not None else []
    return "; ".join([*said, *(["what was stored by then is stored"] if online else [])])


class _Unscored:
    """Counts the rows without a score while they go by, and keeps the first one's reason."""

    def __init__(self) -> None:
        self.count, self.first = 0, ""

    def of(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """``tables``, as they are."""
        for table in tables:
            reasons = table["unscorable"].drop_null()
            if len(reasons):
                self.first = self.first or str(reasons[0])
                self.count += len(reasons)
            yield table

    def warn(self, rows: int) -> None:
        """Say how many rows have no score, and why the first has none: on the stream they would be dead letters."""
        if self.count:
            why = f"column 'unscorable' says why: {self.first}, say"
            warn(f"{self.count:,} of {rows:,} rows have no score, and {why}")
