"""Event files as (time, key, JSON), in batches: the memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from features.errors import SettingError
from features.plan import ColumnType, Source

BATCH_ROWS = 8192

Row = tuple[int, bytes | None, bytes]
"""Event time in UTC milliseconds (0: none), key, JSON."""

ARROW: dict[str, Callable[[ColumnType], pa.DataType]] = {
    "int64": lambda _: pa.int64(),
    "float64": lambda _: pa.float64(),
    "decimal": lambda kind: pa.decimal128(kind.precision, kind.scale),
    "string": lambda _: pa.string(),
    "bool": lambda _: pa.bool_(),
}


class Span(msgspec.Struct, frozen=True):
    """Event times from ``start_ms`` to before ``end_ms``; None: without end."""

    start_ms: int | None = None
    end_ms: int | None = None

    def __contains__(self, when: int) -> bool:
        return (self.start_ms is None or when >= self.start_ms) and (self.end_ms is None or when < self.end_ms)

    def mask(self, times: pa.Array) -> pa.Array:
        """Which of ``times`` are within."""
        low, high = pa.scalar(self.start_ms or 0, pa.int64()), pa.scalar(self.end_ms or 2**63 - 1, pa.int64())
        return pc.and_(pc.greater_equal(times, low), pc.less(times, high))


ALWAYS = Span()


def read(file: Path, source: Source | None = None, key: str | None = None, span: Span = ALWAYS) -> Iterator[Row]:
    """The rows of ``file`` within ``span``, in the file's order, with the columns and types of the ``source``, if there is one.

    JSON Lines go out as they stand, bad ones too: judging events is the stream's work. Raises `SettingError` for a file of
    another kind, one that lacks a column or holds other types, and for NaN and infinities, which JSON cannot hold.
    """
    if not file.is_file():
        raise SettingError(f"events are read from a file; there is no {file}; give an existing one")
    if file.suffix == ".jsonl":
        return _lines(file, source, key, span)
    if file.suffix not in TABLES:
        raise SettingError(f"events are read from .jsonl, {', '.join(TABLES)} files; got {file}; convert it to one of them")
    return _rows(file, TABLES[file.suffix](file, source), source, key, span)


def row_count(file: Path) -> int | None:
    """The rows of a Parquet file; None for the others, which would have to be read for it."""
    return int(pq.read_metadata(file).num_rows) if file.suffix == ".parquet" and file.is_file() else None


def _parquet(file: Path, source: Source | None) -> Iterator[pa.RecordBatch]:
    return iter(pq.ParquetFile(file).iter_batches(BATCH_ROWS))


def _csv(file: Path, source: Source | None) -> Iterator[pa.RecordBatch]:
    columns = source.columns if source else ()
    types = {c.name: ARROW[c.type.kind](c.type) if c.type.kind in ARROW else pa.string() for c in columns}
    return iter(pa.csv.open_csv(file, convert_options=pa.csv.ConvertOptions(column_types=types)))


TABLES: dict[str, Callable[[Path, Source | None], Iterator[pa.RecordBatch]]] = {".parquet": _parquet, ".csv": _csv}


def _rows(file: Path, batches: Iterator[pa.RecordBatch], source: Source | None, key: str | None, span: Span) -> Iterator[Row]:
    try:
        for batch in batches:
            columns = _columns(batch, source)
            times = columns[source.time] if source else _first_time(batch, columns)
            yield from _encoded(columns, pc.fill_null(times, 0), key, span)
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise SettingError(f"{file} cannot be read as events; {reason}; mend the file or the source") from None


def _columns(batch: pa.RecordBatch, source: Source | None) -> dict[str, pa.Array]:
    """The columns as JSON has them: times as integers, decimals with their digits, all floats finite."""
    if source:
        missing = [c.name for c in source.columns if c.name not in batch.schema.names]
        if missing:
            raise pa.ArrowInvalid(f"it lacks '{missing[0]}', a column of source '{source.name}'")
        return {c.name: _as(c.type, c.name, batch.column(c.name)) for c in source.columns}
    return {name: _finite(name, _whole(column)) for name, column in zip(batch.schema.names, batch.columns, strict=True)}


def _as(kind: ColumnType, name: str, column: pa.Array) -> pa.Array:
    if kind.kind == "timestamp":
        return _milliseconds(column)
    return _finite(name, column.cast(ARROW[kind.kind](kind)))


def _whole(column: pa.Array) -> pa.Array:
    return _milliseconds(column) if pa.types.is_temporal(column.type) else column


def _milliseconds(column: pa.Array) -> pa.Array:
    """UTC milliseconds; a time without a zone is UTC, and finer digits are cut off."""
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    if pa.types.is_string(column.type):
        return _parsed(column)
    return column.cast(pa.timestamp("ms", tz=getattr(column.type, "tz", None)), safe=False).cast(pa.int64())


def _parsed(column: pa.Array) -> pa.Array:
    """Text as milliseconds: a number of them, or ISO 8601 with a zone or without."""
    for kind in (pa.int64(), pa.timestamp("us", tz="UTC")):
        try:
            return _milliseconds(column.cast(kind))
        except pa.ArrowInvalid:
            continue
    return _milliseconds(column.cast(pa.timestamp("us")))


def _finite(name: str, column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type) and pc.all(pc.is_finite(column)).as_py() is False:
        raise pa.ArrowInvalid(f"column '{name}' has NaN or an infinity, which JSON cannot hold")
    return column


def _first_time(batch: pa.RecordBatch, columns: dict[str, pa.Array]) -> pa.Array:
    names = [f.name for f in batch.schema if pa.types.is_timestamp(f.type)]
    return columns[names[0]] if names else pa.nulls(batch.num_rows, pa.int64())


def _encoded(columns: dict[str, pa.Array], times: pa.Array, key: str | None, span: Span) -> Iterator[Row]:
    if span != ALWAYS:
        within = span.mask(times)
        times, columns = times.filter(within), {name: column.filter(within) for name, column in columns.items()}
    lists = {name: column.to_pylist() for name, column in columns.items()}
    row = _row_type(tuple(lists))
    values = map(_encode, map(row, *lists.values()))
    keys = map(_key, lists[key]) if key else repeat(None, len(times))
    return zip(times.to_pylist(), keys, values, strict=True)


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
    except msgspec.DecodeError:
        return {}
    return event if isinstance(event, dict) else {}
