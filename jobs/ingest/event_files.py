"""Event files as (time, key, JSON), in batches: the memory does not grow with the file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import repeat
from typing import Any, NamedTuple

import duckdb
import msgspec
import pyarrow as pa

from features.plan import Source
from features.service import Resources
from features.sql.quoting import quoted
from features.times import ALWAYS, EVENT_TIMES, EventTimes, Span
from jobs.history.files import RESOURCES, Rows, check, connect, in_order, refusing, rows_as_they_are, rows_of_source
from jobs.history.json_lines import TEXT
from jobs.history.places import Written, kind_of
from jobs.history.readings import TIMES, milliseconds

BATCH_ROWS = 8192

Row = tuple[int, int, bytes | None, bytes]
"""When it arrives and its event time, in UTC milliseconds (0: none), key, JSON."""
ARRIVES = "_arrives"


class Feed(NamedTuple):
    """A file to be published to a topic. ``source`` and ``key`` are None where no plan reads the topic."""

    file: Written
    topic: str
    source: Source | None = None
    key: str | None = None
    """The column whose value is the record's key."""
    required: frozenset[str] = frozenset()
    """The columns without which the stream cannot use an event."""
    times: EventTimes = EVENT_TIMES
    """The event times that the stream takes."""
    resources: Resources = RESOURCES
    """What reading it may take."""


def checked(feed: Feed, span: Span = ALWAYS) -> int:
    """Read the whole file; gives how many rows it has in ``span``.

    Raises `SettingError` for the first value that the stream would refuse, and for a ``span`` where there are no event times.
    """
    with connect(resources=feed.resources) as connection:
        return check(connection, _rows(connection, feed, span))


def has_times(feed: Feed) -> bool:
    """Whether the event times of the rows are known."""
    with connect(1, feed.resources) as connection:
        return _rows(connection, feed, ALWAYS).time is not None


def read(feed: Feed, span: Span = ALWAYS, by_time: bool = False) -> Iterator[Row]:
    """The rows in ``span``, in the order of the file or, ``by_time``, of the times at which they arrive; those of one time as in
    the file. They arrive at their event times, or as the column says that the source names as its arrival, if it holds times.

    A value of a Parquet or CSV file that does not fit ends them with a `SettingError`. JSON Lines go out as they stand, bad ones
    too, except from a ``span``, in which they are not.
    """
    lines = kind_of(feed.file) == "lines"
    with connect(1, feed.resources) as connection:
        rows = _rows(connection, _of_lines(feed) if lines else feed, span)
        with refusing(connection, rows):
            table, order, arrives = rows.table, "", _arrives(rows, feed)
            if by_time and rows.time and not in_order(connection, rows, arrives):
                table, order = rows.numbered, f" ORDER BY {arrives} NULLS FIRST, _file, _place"
            selected, encoded = (_line(rows, feed), _lines) if lines else (_columns(rows, feed), _objects)
            query = f"SELECT {selected}, {arrives} AS {ARRIVES} FROM {table} WHERE {rows.within}{order}"
            for batch in connection.sql(query).to_arrow_reader(BATCH_ROWS):
                yield from encoded(batch, rows, feed)


def _rows(connection: duckdb.DuckDBPyConnection, feed: Feed, span: Span) -> Rows:
    if feed.source is None:
        return rows_as_they_are(connection, feed.file, span)
    possible = feed.times.span(int(time.time() * 1000))
    return rows_of_source(connection, feed.source, feed.file, feed.required, span, possible, texts=True)


def _of_lines(feed: Feed) -> Feed:
    """With the columns that are looked at where a line goes out as it stands."""
    if feed.source is None:
        return feed
    looked_at = {feed.source.time, feed.key, feed.source.arrival}
    columns = tuple(column for column in feed.source.columns if column.name in looked_at)
    return feed._replace(source=msgspec.structs.replace(feed.source, columns=columns), required=frozenset())


def _arrives(rows: Rows, feed: Feed) -> str:
    """SQL of when a row arrives: not before its event time, which it is where nothing says so."""
    name = feed.source.arrival if feed.source else None
    if feed.source is None or name is None:
        return rows.moment
    declared = {column.name: column.type.kind for column in feed.source.columns}
    if name in rows.readings and declared.get(name, "timestamp") == "timestamp":
        return f"greatest({rows.value(name)}, {rows.moment})"
    found = rows.types.get(name, "")
    return f"greatest({milliseconds(quoted(name), found)}, {rows.moment})" if found in TIMES else rows.moment


def _line(rows: Rows, feed: Feed) -> str:
    at = rows.value(rows.time) if rows.time else "NULL"
    key = rows.value(feed.key) if feed.key else "NULL"
    return f"{TEXT}, {at} AS _at, {key} AS _key"


def _lines(batch: pa.RecordBatch, rows: Rows, feed: Feed) -> Iterator[Row]:
    texts, times, keys, arrives = (column.to_pylist() for column in batch.columns)
    return zip((when or 0 for when in arrives), (when or 0 for when in times), map(_key, keys), texts, strict=True)


def _columns(rows: Rows, feed: Feed) -> str:
    names = [column.name for column in feed.source.columns] if feed.source else rows.readings
    return ", ".join(f"{rows.checked(name)} AS {quoted(name)}" for name in names)


def _objects(batch: pa.RecordBatch, rows: Rows, feed: Feed) -> Iterator[Row]:
    lists = {name: column.to_pylist() for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    arrives = (when or 0 for when in lists.pop(ARRIVES))
    for name in rows.verbatim:
        lists[name] = [None if text is None else msgspec.Raw(text) for text in lists[name]]
    times = (when or 0 for when in lists[rows.time]) if rows.time else repeat(0, batch.num_rows)
    keys = map(_key, lists[feed.key]) if feed.key else repeat(None, batch.num_rows)
    row = _row_type(tuple(lists))
    return zip(arrives, times, keys, map(_encode, map(row, *lists.values())), strict=True)


def _key(value: Any) -> bytes | None:
    return None if value is None else str(value).encode()


_encode = msgspec.json.Encoder(decimal_format="number").encode
_row_types: dict[tuple[str, ...], type[msgspec.Struct]] = {}


def _row_type(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """A struct with these fields: it is made and encoded three times as fast as a dict."""
    if names not in _row_types:
        fields = {f"c{i}": name for i, name in enumerate(names)}
        _row_types[names] = msgspec.defstruct("Row", [(field, Any) for field in fields], rename=fields, gc=False)
    return _row_types[names]
