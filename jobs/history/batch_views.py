"""Batch views: computed from history for each day, kept as Parquet, and written to Feast's online store."""

from __future__ import annotations

import hashlib
import operator
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import DefinitionError, SettingError
from features.feast.online import ROWS_A_WRITE, open_for_writing
from features.plan import BatchView, Plan, Source
from features.service import Service
from features.sql.quoting import quoted
from features.times import DAY_MS, Span, day_ms
from jobs.history.batch_file import TIME, Day, Made, check_definition, days_of, definition_digest, read_days, save
from jobs.history.batch_types import typed
from jobs.history.files import connect
from jobs.history.places import Written
from jobs.history.queries import Progress, Request
from jobs.history.scans import within_memory
from jobs.history.tables import File, create_table

SAVE_SECONDS = 2.0
"""How long days are computed before they are saved, and at least ten times as long as that takes."""


class Computed(msgspec.Struct, frozen=True):
    """What `materialize` has done for a view."""

    view: str
    days: tuple[date, ...]
    """Those that were computed."""
    kept: tuple[date, ...]
    """Those that were there: made of the same history by the same definition."""
    rows: int
    """Of the days that were computed."""
    newest_ms: int | None
    """The time of the newest row of the history before the last day; None: there is no row."""


def compute_days(
    service: Service,
    first_day: date,
    last_day: date,
    histories: Mapping[str, Written] | None = None,
) -> dict[str, pa.Table]:
    """The rows of every batch view of the service for each UTC day, both ends included: key, timestamp and features.

    A day's rows have its midnight as their timestamp and come from the source's rows before it.
    """
    plan, days = service.plan, _days(first_day, last_day)
    with _loaded(service, last_day, histories) as connection:
        return {
            view.view: pa.concat_tables([_day(connection, service, view, day) for day in days], promote_options="permissive")
            for view in plan.batch
        }


def materialize(
    service: Service,
    first_day: date,
    last_day: date,
    histories: Mapping[str, Written] | None = None,
    on_progress: Progress | None = None,
    *,
    again: bool = False,
) -> dict[str, Computed]:
    """Write `compute_days` into the views' Parquet files, in place of what they had for these days.

    A day that is there is kept where it was made by the same definition of the same rows, unless ``again``. What is computed is
    saved every few seconds, and where the work is interrupted or fails: the next call goes on from there.
    """
    plan, days = service.plan, _days(first_day, last_day)
    found = {}
    with _loaded(service, last_day, histories) as connection:
        for view in plan.batch:
            source, path = plan.source(view.source), service.folder / view.path
            made = _made_of(connection, plan, view, days)
            before = {} if again else days_of(path)
            wanted = [day for day in days if before.get(day) != made[day]]
            rows = 0
            with _saving(path, view) as keep:
                for number, day in enumerate(wanted):
                    if on_progress:
                        on_progress(view.view, number, len(wanted))
                    of_day = _day(connection, service, view, day)
                    rows += of_day.num_rows
                    keep(day, Day(of_day, made[day]))
            if on_progress:
                on_progress(view.view, len(wanted), len(wanted))
            kept = tuple(day for day in days if before.get(day) == made[day])
            found[view.view] = Computed(view.view, tuple(wanted), kept, rows, _newest(connection, source))
    return found


def push_online(service: Service, day: date, since: date | None = None, on_progress: Progress | None = None) -> dict[str, int]:
    """Write the day's rows of every batch view into the project's online store; gives rows written.

    With ``since``, each key's newest row from that day on, whichever days there are: what pushing one after the other comes to.
    The definitions are applied first. A key that has a row of a later day keeps it. Raises `SettingError` where the views have no
    file, and without ``since`` for a day that was not computed.
    """
    rows = {view.view: _rows_to_push(service, view, since, day) for view in service.plan.batch}
    write_rows = open_for_writing(service)
    written = {}
    for view in service.plan.batch:
        table, count = rows[view.view], 0
        for first in range(0, table.num_rows, ROWS_A_WRITE):
            if on_progress:
                on_progress(f"{view.view} to the online store", first, table.num_rows)
            count += write_rows(view, table.slice(first, ROWS_A_WRITE))
        written[view.view] = count
    return written


def has_day(service: Service, day: date) -> bool:
    """Whether every batch view of the service has rows of the day."""
    return all(_holds(service.folder / view.path, view, day) for view in service.plan.batch)


def _days(first_day: date, last_day: date) -> list[date]:
    days = [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)]
    if not days:
        raise SettingError(f"the last day is not before the first; got {first_day} to {last_day}; swap them")
    return days


@contextmanager
def _loaded(service: Service, last_day: date, histories: Mapping[str, Written] | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the rows before the last day of every source that a batch view reads."""
    plan = service.plan
    times = service.event_times
    request = Request(service.folder, plan, Span(end_ms=day_ms(last_day)), histories=histories or {}, event_times=times)
    with within_memory(), connect(resources=service.resources) as connection:
        for source in {view.source: plan.source(view.source) for view in plan.batch}.values():
            _load(connection, request, source)
        yield connection


def _load(connection: duckdb.DuckDBPyConnection, request: Request, source: Source) -> None:
    """The source's rows as ``_history``.<name>, with the event time as a TIMESTAMPTZ again."""
    files, required = [File(request.history(source))], {source.time, source.event_id}
    create_table(connection, source, files, required, request.times, request.event_times)
    connection.execute("CREATE SCHEMA IF NOT EXISTS _history")
    columns = ", ".join(
        f"CAST(epoch_ms({name}) AS TIMESTAMPTZ) AS {name}" if column.type.kind == "timestamp" else name
        for column in source.columns
        for name in [quoted(column.name)]
    )
    table = quoted(source.name)
    connection.execute(f"CREATE TABLE _history.{table} AS SELECT {columns} FROM {table}")
    connection.execute(f"DROP TABLE {table}")


def _made_of(connection: duckdb.DuckDBPyConnection, plan: Plan, view: BatchView, days: Sequence[date]) -> dict[date, Made]:
    """What each of the days, in their order, is made of."""
    source, definition = plan.source(view.source), definition_digest(plan, view)
    columns = ", ".join(quoted(column.name) for column in source.columns)
    by_day = connection.execute(
        f"SELECT epoch_ms({quoted(source.time)}) // {DAY_MS}, count(*), sum(hash({columns})) FROM _history.{quoted(source.name)} "
        "GROUP BY 1 ORDER BY 1 DESC"
    ).fetchall()
    so_far, made = hashlib.sha256(), {}
    for day in days:
        while by_day and by_day[-1][0] * DAY_MS < day_ms(day):
            so_far.update(repr(by_day.pop()).encode())
        made[day] = Made(definition, so_far.hexdigest()[:16])
    return made


def _newest(connection: duckdb.DuckDBPyConnection, source: Source) -> int | None:
    row = connection.execute(f"SELECT max(epoch_ms({quoted(source.time)})) FROM _history.{quoted(source.name)}").fetchone()
    return row[0] if row else None


@contextmanager
def _saving(path: Path, view: BatchView) -> Iterator[Callable[[date, Day], None]]:
    """A function that is given the days; they are saved from time to time, and at the end, whatever ends it."""
    unsaved: dict[date, Day] = {}
    due = time.monotonic() + SAVE_SECONDS

    def flush() -> float:
        began = time.monotonic()
        save(path, view, unsaved)
        unsaved.clear()
        return time.monotonic() + max(SAVE_SECONDS, 10 * (time.monotonic() - began))

    def keep(day: date, made: Day) -> None:
        nonlocal due
        unsaved[day] = made
        if time.monotonic() > due:
            due = flush()

    try:
        yield keep
    finally:
        if unsaved:
            flush()


def _day(connection: duckdb.DuckDBPyConnection, service: Service, view: BatchView, day: date) -> pa.Table:
    source = service.plan.source(view.source)
    table = quoted(source.name)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM _history.{table} "
        f"WHERE {quoted(source.time)} < TIMESTAMPTZ '{midnight.isoformat()}'"
    )
    names = ", ".join(quoted(name) for name in (*view.key, *view.features))
    order = ", ".join(quoted(key) for key in view.key)
    # A row without a key, of rows without one, is no event's.
    known = " AND ".join(f"{quoted(key)} IS NOT NULL" for key in view.key)
    try:
        rows = connection.sql(
            f"SELECT {names} FROM ({view.sql}\n) WHERE {known} ORDER BY {order}",
            params={"day": midnight} if "$day" in view.sql else {},
        ).to_arrow_table()
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.Error as error:
        raise DefinitionError(
            f"batch view '{view.view}': its SQL gives {', '.join((*view.key, *view.features))} from '{source.name}' before $day; "
            f"DuckDB says: {' '.join(str(error).split())}; fix the SQL"
        ) from None
    keys = rows.select(list(view.key)).group_by(list(view.key)).aggregate([])
    if keys.num_rows != rows.num_rows:
        raise DefinitionError(
            f"batch view '{view.view}': a day has one row for each key; got {rows.num_rows} rows of {keys.num_rows} keys "
            f"on {day}; group by {order}"
        )
    times = pa.array([day_ms(day)] * rows.num_rows, pa.int64()).cast(TIME)
    return typed(rows, service, view).add_column(len(view.key), pa.field(view.timestamp, TIME), times)


def _rows_to_push(service: Service, view: BatchView, since: date | None, day: date) -> pa.Table:
    """The day's rows, or each key's newest since then."""
    path, days = service.folder / view.path, f"--from {day} --to {day + timedelta(days=1)}"
    advice = f"run 'headrace batch-views {service.name} {days}'"
    if not path.is_file():
        raise SettingError(f"batch view '{view.view}': a day is computed before it is pushed; no file {path}; {advice}")
    if since is None and not _holds(path, view, day):
        raise SettingError(f"batch view '{view.view}': {path} has no rows of {day}; {advice}")
    check_definition(path, service.plan, view, day_ms(day) + 1)
    rows = read_days(path, view, since or day, day).filter(reduce(operator.and_, (pc.field(key).is_valid() for key in view.key)))
    if since is None:
        return rows
    keys = ", ".join(quoted(key) for key in view.key)
    with connect(resources=service.resources) as connection:
        newest = f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {quoted(view.timestamp)} DESC) = 1"
        return connection.sql(f"SELECT * FROM rows {newest}").to_arrow_table()


def _holds(path: Path, view: BatchView, day: date) -> bool:
    """Whether the file has the day: a day may be computed and have no rows."""
    return path.is_file() and (day in days_of(path) or read_days(path, view, day, day).num_rows > 0)
