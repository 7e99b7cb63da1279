"""Features as of moments that are no rows of a source: windows by the SQL of history, and joins of batch views.

A query here is a key and a time. It contributes to no window, as it is no event: it sees the rows of every source up to and with
its millisecond, as a query over another source does (rules 1 and 6 of docs/windows.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from features.plan import BatchView, Column, ColumnType, Plan, Source, Stage, WindowFeature
from features.sql.duckdb import windows_sql
from features.sql.duckdb.batch_views import batch_sql
from features.sql.quoting import literal, quoted
from features.times import EVENT_TIMES, EventTimes, Span
from jobs.history.places import history_of, parquet
from jobs.history.queries import narrowed
from jobs.history.readings import TIMES, milliseconds
from jobs.history.scans import readable, require_one_type
from jobs.history.tables import File, create_table

QUERIES = "_queries"
AT = "_at"
ROW = "_row"
"""Columns of the queries: the time in UTC milliseconds, and the number from 0."""
OF = "of "
"""What the names of their columns of keys begin with."""
EVERYBODY = "_everybody"
"""The key of a view without one."""
TIME = "_time"
Key = tuple[tuple[str, str], ...]
"""Pairs of a column of the view's source, and the column of the queries that holds it."""


class Windows(msgspec.Struct, frozen=True):
    """Windows over one source by one key."""

    source: Source
    key: Key
    features: tuple[WindowFeature, ...]

    @property
    def view(self) -> str:
        """One of the views that they are of, for an error."""
        return self.features[0].view


class Joined(msgspec.Struct, frozen=True):
    """Rows of a file, of which a query has the newest at or before it."""

    view: BatchView
    """Its path may be a glob, or an address."""
    key: Key
    stored: Mapping[str, str] = {}
    """What the file calls the columns that it calls otherwise."""
    created: str = ""
    """The column that tells which of two rows of one key and millisecond counts: the later one."""


Features = dict[str, pa.ChunkedArray]
"""Values by full name, in the order of the queries."""


def windows_as_of(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    wanted: Iterable[Windows],
    queries: pa.Table,
    event_times: EventTimes = EVENT_TIMES,
) -> Features:
    """The features of each of the ``queries``, which are numbered by `ROW`; null where its key or its time is null.

    Raises `SettingError` for a history that is not there, or does not fit its source; ``event_times`` are those it may have.
    """
    wanted, found = list(wanted), Features()
    connection.register(QUERIES, queries)
    for source in {windows.source.name: windows.source for windows in wanted}.values():
        over = [windows for windows in wanted if windows.source.name == source.name]
        create_table(connection, *_needed(folder, over), _span(over, queries), event_times)
    for number, windows in enumerate(wanted):
        found |= _one_by_one(connection, number, windows)
    connection.unregister(QUERIES)
    return found


def rows_as_of(connection: duckdb.DuckDBPyConnection, wanted: Iterable[Joined], queries: pa.Table) -> Features:
    """The features of each of the ``queries``; null where there is no row, or only one older than the view's ttl.

    Raises `SettingError` for a file that is not there, or lacks a column.
    """
    found = Features()
    connection.register(QUERIES, queries)
    for joined in wanted:
        keys = ", ".join(f"{_key_column(theirs)} AS {quoted(own)}" for own, theirs in joined.key) or f"1 AS {EVERYBODY}"
        view = msgspec.structs.replace(joined.view, key=joined.view.key or (EVERYBODY,), timestamp=TIME)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW _wanted AS SELECT {ROW}, {AT}, {keys} FROM {QUERIES}")
        with readable(parquet(connection, joined.view.path)):
            read = (*view.features, *joined.view.key, joined.view.timestamp)
            require_one_type(connection, joined.view.path, [joined.stored.get(name, name) for name in read])
            sql = batch_sql(_plan("_wanted", (), ()), view, _newest_created(connection, joined))
            table = connection.sql(sql).to_arrow_table()
        found |= {name: table[name] for name in (f"{view.view}__{feature}" for feature in view.features)}
    connection.unregister(QUERIES)
    return found


def _newest_created(connection: duckdb.DuckDBPyConnection, joined: Joined) -> str:
    """SQL of a file's rows, their times in whole milliseconds; of those of one key and time, the one that was created last."""
    view, file, stored = joined.view, f"read_parquet({literal(joined.view.path)})", joined.stored
    time = quoted(stored.get(view.timestamp, view.timestamp))
    (kind,) = {row[1] for row in connection.execute(f"DESCRIBE SELECT {time} FROM {file}").fetchall()}
    ms = milliseconds(time, kind) if kind in TIMES else f"epoch_ms(CAST({time} AS TIMESTAMP))"
    names = [f"{quoted(stored.get(name, name))} AS {quoted(name)}" for name in (*view.key, *view.features)]
    names += [] if view.key else [f"1 AS {EVERYBODY}"]
    created = f", {quoted(stored.get(joined.created, joined.created))} DESC NULLS LAST" if joined.created else ""
    key = ", ".join(quoted(stored.get(name, name)) for name in view.key) or "1"
    return (
        f"(SELECT {', '.join(names)}, make_timestamp_ms({ms}) AS {TIME} FROM {file} "
        f"QUALIFY row_number() OVER (PARTITION BY {key}, {ms} ORDER BY {time} DESC{created}) = 1)"
    )


def _needed(folder: Path, over: Sequence[Windows]) -> tuple[Source, list[File], set[str]]:
    """The source of ``over`` with the columns that are needed of it, its file, and the columns that have no null."""
    source, keys = over[0].source, {own for windows in over for own, _ in windows.key}
    used = {source.time, source.event_id, *keys, *(feature.column for windows in over for feature in windows.features)}
    columns = tuple(column for column in source.columns if column.name in used)
    narrow = msgspec.structs.replace(source, columns=columns)
    return narrow, [File(history_of(source, folder, {}))], {source.event_id, *keys}


def _span(over: Sequence[Windows], queries: pa.Table) -> Span:
    """The times of the rows that lie in a window of any query."""
    longest = max(feature.window_ms for windows in over for feature in windows.features)
    first, last = (end.as_py() for end in pc.min_max(queries[AT]).values())
    return Span(0, 0) if first is None else Span(first + 1 - longest, last + 1)


def _one_by_one(connection: duckdb.DuckDBPyConnection, number: int, windows: Windows) -> Features:
    """The windows of each query, over the rows of their keys alone."""
    rows, queries, table = f"_rows_{number}", f"_queries_{number}", f"_windows_{number}"
    own = [name for name, _ in windows.key]
    keys = [f"{_key_column(theirs)} AS {quoted(name)}" for name, theirs in windows.key]
    known = " AND ".join(f"{name} IS NOT NULL" for name in (AT, *(_key_column(theirs) for _, theirs in windows.key)))
    connection.execute(
        f"CREATE TEMP VIEW {queries} AS SELECT {ROW}, {ROW} AS _arrival, {AT}, {', '.join(keys)} FROM {QUERIES} WHERE {known}"
    )
    connection.execute(
        f"CREATE TEMP VIEW {rows} AS SELECT * FROM {quoted(windows.source.name)} "
        f"SEMI JOIN {queries} USING ({', '.join(map(quoted, own))})"
    )
    source = msgspec.structs.replace(windows.source, name=rows)
    stage = Stage(rows, tuple(own), windows.features)
    sql = windows_sql(_plan(queries, (source,), (stage,)), stage)
    joined = f"SELECT * FROM (SELECT {ROW} FROM {QUERIES}) LEFT JOIN ({sql}) USING ({ROW}) ORDER BY {ROW}"
    connection.execute(f"CREATE TEMP TABLE {table} AS {joined}")
    names = [feature.name for feature in windows.features]
    found = connection.sql(f"SELECT {', '.join(narrowed(connection, table, names))} FROM {table}").to_arrow_table()
    connection.execute(f"DROP TABLE {table}")
    return {name: found[name] for name in names}


def _plan(queries: str, sources: tuple[Source, ...], stages: tuple[Stage, ...]) -> Plan:
    """A plan whose spine are the queries, of which no stage is a view."""
    columns = (Column(AT, ColumnType("timestamp")), Column(ROW, ColumnType("int64")))
    spine = Source(queries, "", columns, AT, ROW, "", 0)
    return Plan("", queries, (spine, *sources), stages, (), (), (), "event_time", 0)


def queries_of(times: pa.Array, keys: Mapping[str, pa.Array]) -> pa.Table:
    """Queries at ``times`` (UTC milliseconds), with columns of keys by the names that `Key` has for them."""
    named = {f"{OF}{name}": column for name, column in keys.items()}
    return pa.table({ROW: pa.array(range(len(times)), pa.int64()), AT: times, **named})


def _key_column(name: str) -> str:
    return quoted(f"{OF}{name}")
