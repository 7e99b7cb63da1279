"""Event files as (time, key, JSON), in batches: the memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from features.errors import SettingError
from features.plan import Source
from features.sql.quoting import literal, quoted
from features.times import ALWAYS, Span
from jobs.history.files import LINES, Rows, connect, rows_as_they_are, rows_of_source

BATCH_ROWS = 8192

Row = tuple[int, bytes | None, bytes]
"""Event time in UTC milliseconds (0: none), key, JSON."""


def read(file: Path, source: Source | None = None, key: str | None = None, span: Span = ALWAYS) -> Iterator[Row]:
    """The rows of ``file`` within ``span``, in the file's order, with the columns and types of the ``source``, if there is one.

    JSON Lines go out as they stand, bad ones too: judging events is the stream's work. Other files are checked before the first
    row goes out: raises `SettingError` as `jobs.history.files.rows_of_source` does. Nulls are left to the stream.
    """
    if file.suffix in LINES and file.is_file():
        return _lines(file, source, key, span)
    connection = connect(threads=1)
    rows = rows_of_source(connection, source, file, (), span) if source else rows_as_they_are(connection, file, span)
    return _rows(connection, rows, key)


def row_count(file: Path) -> int | None:
    """The rows of a Parquet file; None for the others, which would have to be read for it."""
    if file.suffix != ".parquet" or not file.is_file():
        return None
    with connect(threads=1) as connection:
        (rows,) = connection.execute(f"SELECT num_rows FROM parquet_file_metadata({literal(str(file))})").fetchone() or (None,)
    return None if rows is None else int(rows)


def _rows(connection: Any, rows: Rows, key: str | None) -> Iterator[Row]:
    values = ", ".join(f"{value} AS {quoted(name)}" for name, value in rows.values.items())
    with connection:
        selected = connection.sql(f"SELECT {values} FROM {rows.table} WHERE {rows.within}")
        try:
            for batch in selected.to_arrow_reader(BATCH_ROWS):
                yield from _encoded(batch, rows.time, key)
        except duckdb.Error as error:
            raise SettingError(f"{rows.table} cannot be read: {str(error).splitlines()[0]}; fix or replace it") from None


def _encoded(batch: pa.RecordBatch, time: str | None, key: str | None) -> Iterator[Row]:
    lists = {name: column.to_pylist() for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    times = (when or 0 for when in lists[time]) if time else repeat(0, batch.num_rows)
    keys = map(_key, lists[key]) if key else repeat(None, batch.num_rows)
    row = _row_type(tuple(lists))
    values = map(_encode, map(row, *lists.values()))
    return zip(times, keys, values, strict=True)


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


def _lines(file: Path, source: Source | None, key: str | None, span: Span) -> Iterator[Row]:
    time = source.time if source else None
    with file.open("rb") as lines:
        for line in lines:
            value = line.rstrip(b"\r\n")
            event = _object(value)
            when = event.get(time) if time else None
            when = when if type(when) is int else 0
            if value and when in span:
                yield when, _key(event.get(key)) if key else None, value


def _object(value: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
