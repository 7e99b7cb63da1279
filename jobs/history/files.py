"""Event files as DuckDB reads them: each column is held against the definition of its source, or the file is refused.

History, training and scoring read them into tables (`jobs.history.tables`), publish and replay in batches
(`jobs.ingest.event_files`): by the same rules, which are here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path

import duckdb
import msgspec

from features.errors import SettingError
from features.plan import Column, Source
from features.sql.quoting import literal, quoted
from features.times import Span

LINES = (".jsonl", ".ndjson")
KINDS = (".parquet", ".csv", *LINES)

INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
FLOATS = frozenset({"FLOAT", "DOUBLE"})
TIMES = {
    "TIMESTAMP WITH TIME ZONE": ("epoch_us", 1000),
    "TIMESTAMP": ("epoch_us", 1000),
    "TIMESTAMP_S": ("epoch_us", 1000),
    "TIMESTAMP_MS": ("epoch_us", 1000),
    "TIMESTAMP_NS": ("epoch_ns", 1_000_000),
}
"""What gives the time in a whole unit, and how many of that unit a millisecond has."""
CSV_TYPES = {"string": "VARCHAR", "decimal": "DECIMAL(38,19)"}
"""Columns of a CSV whose type is not found out from their text: a number may be a text, a decimal keeps its digits."""


class Reading(msgspec.Struct, frozen=True):
    """How a column of a file becomes the source's column."""

    value: str
    """SQL of the value."""
    refused: str = "false"
    """SQL that holds for a value which cannot be used."""
    rule: str = ""
    """What such a value breaks."""


class Rows(msgspec.Struct, frozen=True):
    """The rows of a file within a span of event times, as SQL."""

    table: str
    """What they are selected from."""
    values: Mapping[str, str]
    """Each column's value, by its name."""
    within: str
    """The condition of the span."""
    time: str | None
    """The column with the event time; None where the file has none."""
    types: Mapping[str, str]
    """The file's own columns with their DuckDB types."""


def connect(threads: int = 2) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own in memory, in UTC, which keeps the order of rows."""
    connection = duckdb.connect(config={"threads": threads, "autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # it writes to stdout, where commands print JSON
    return connection


def rows_of_source(
    connection: duckdb.DuckDBPyConnection, source: Source, path: Path, required: Collection[str], span: Span
) -> Rows:
    """The rows of a file (a Parquet path may be a glob) with the columns and types of ``source``.

    Raises `SettingError` for a file that is not there, is of another kind or lacks a column, and for the first column that has,
    within ``span``, a value that does not fit its type or a null although it is ``required``.
    """
    table, types = _table(connection, path, source)
    readings = {column.name: _reading(source, column, types, path) for column in source.columns}
    where = f"{quoted(source.time)} IS NULL OR ({within(readings[source.time].value, span)})"
    checks = [(name, f"{quoted(name)} IS NULL", "keys, ids and times are never null (rule 8)") for name in sorted(required)]
    checks += [(name, reading.refused, reading.rule) for name, reading in readings.items() if reading.rule]
    _check(connection, path, f"rows of '{source.name}'", table, checks, where)
    return Rows(
        table=table,
        values={name: reading.value for name, reading in readings.items()},
        within=_raw_within(quoted(source.time), types[source.time], span),
        time=source.time,
        types=types,
    )


def rows_as_they_are(connection: duckdb.DuckDBPyConnection, path: Path, span: Span) -> Rows:
    """The rows of a file of no known source: all its columns, times and days as milliseconds, finer digits cut off.

    The first column of times is the event time.

    Raises `SettingError` for a file that is not there or of another kind, and for NaN and infinities.
    """
    table, types = _table(connection, path)
    time = next((name for name, found in types.items() if found in TIMES), None)
    moments = {*TIMES, "DATE"}
    values = {name: f"epoch_ms({quoted(name)})" if found in moments else quoted(name) for name, found in types.items()}
    finite = "a number is finite (rule 5)"
    checks = [(name, f"NOT isfinite({quoted(name)})", finite) for name, found in types.items() if found in FLOATS]
    _check(connection, path, "events", table, checks, "true")
    condition = within(values[time], span) if time else "true"
    return Rows(table=table, values=values, within=condition, time=time, types=types)


def misfit(path: Path, what: str, rule: str, got: str, advice: str) -> SettingError:
    """The error of a file that breaks a rule."""
    return SettingError(f"{path}, {what}: {rule}; got {got}; {advice}")


def _table(connection: duckdb.DuckDBPyConnection, path: Path, source: Source | None = None) -> tuple[str, dict[str, str]]:
    """SQL of a file as a table, and its columns with their DuckDB types."""
    if path.suffix not in KINDS:
        raise SettingError(f"events are {', '.join(KINDS)} files; got {path}; convert it")
    if not glob(str(path)):
        what = f"rows of source '{source.name}'" if source else "events"
        raise SettingError(f"{what}: no file {path}; put it there, or name another")
    kinds = {column.name: column.type.kind for column in source.columns} if source else {}
    if path.suffix == ".parquet":
        table = f"read_parquet({literal(str(path))})"
        return table, _types(connection, table, path)
    if path.suffix == ".csv":
        return _csv(connection, path, kinds)
    return _json(connection, path, kinds)


def _csv(connection: duckdb.DuckDBPyConnection, path: Path, kinds: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    name = literal(str(path))
    types = _types(connection, f"read_csv({name}, sample_size = -1)", path)
    fixed = {column: CSV_TYPES[kind] for column, kind in kinds.items() if kind in CSV_TYPES and column in types}
    with_types = f", types = {_struct(fixed)}" if fixed else ""
    return f"read_csv({name}, sample_size = -1{with_types})", {**types, **fixed}


def _json(connection: duckdb.DuckDBPyConnection, path: Path, kinds: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    name = literal(str(path))
    types = _types(connection, f"read_json({name}, format = 'newline_delimited', sample_size = -1)", path)
    types |= {column: "VARCHAR" for column, kind in kinds.items() if kind == "string" and column in types}
    return f"read_json({name}, format = 'newline_delimited', columns = {_struct(types)})", types


def _struct(values: Mapping[str, str]) -> str:
    """A SQL struct of texts."""
    return "{" + ", ".join(f"{quoted(name)}: '{value}'" for name, value in values.items()) + "}"


def _types(connection: duckdb.DuckDBPyConnection, table: str, path: Path) -> dict[str, str]:
    with _readable(path):
        return {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """DuckDB's errors as ours."""
    try:
        yield
    except duckdb.Error as error:
        raise SettingError(f"{path} cannot be read: {str(error).splitlines()[0]}; fix or replace it") from None


def _reading(source: Source, column: Column, types: Mapping[str, str], path: Path) -> Reading:
    what, rule = f"rows of '{source.name}'", f"source '{source.name}' has column '{column.name}' of type {column.type}"
    if column.name not in types:
        raise misfit(path, what, rule, f"no such column, but {', '.join(types)}", "add it, or change the definition")
    reading = READINGS[column.type.kind](column, types[column.name])
    if reading is None:
        raise misfit(path, what, rule, types[column.name], "write it in that type, or change the definition")
    return reading


def _integer(column: Column, found: str) -> Reading | None:
    return Reading(f"CAST({quoted(column.name)} AS BIGINT)") if found in INTEGERS else None


def _float(column: Column, found: str) -> Reading | None:
    name = quoted(column.name)
    if found in FLOATS:
        return Reading(f"CAST({name} AS DOUBLE)", f"NOT isfinite({name})", "a number is finite (rule 5)")
    return Reading(f"CAST({name} AS DOUBLE)") if found in INTEGERS or found.startswith("DECIMAL") else None


def _decimal(column: Column, found: str) -> Reading | None:
    if found not in INTEGERS | FLOATS and not found.startswith("DECIMAL"):
        return None
    name, wanted = quoted(column.name), f"DECIMAL({column.type.precision},{column.type.scale})"
    if found == wanted:
        return Reading(name)
    back = f"CAST(TRY_CAST({name} AS {wanted}) AS {found})"
    return Reading(f"CAST({name} AS {wanted})", f"{back} IS DISTINCT FROM {name}", f"a value is exact in {column.type}")


def _timestamp(column: Column, found: str) -> Reading | None:
    name = quoted(column.name)
    if found in INTEGERS:
        return Reading(f"CAST({name} AS BIGINT)")
    if found not in TIMES:
        return None
    units, per_ms = TIMES[found]
    return Reading(f"epoch_ms({name})", f"{units}({name}) % {per_ms} <> 0", "times are whole milliseconds (rule 1)")


READINGS: dict[str, Callable[[Column, str], Reading | None]] = {
    "int64": _integer,
    "float64": _float,
    "decimal": _decimal,
    "timestamp": _timestamp,
    "string": lambda column, found: Reading(quoted(column.name)) if found == "VARCHAR" else None,
    "bool": lambda column, found: Reading(quoted(column.name)) if found == "BOOLEAN" else None,
}


def _check(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    what: str,
    table: str,
    checks: Sequence[tuple[str, str, str]],
    where: str,
) -> None:
    """Refuse the file for the first check that a row fails: a column, SQL that holds for what is refused, and the rule."""
    if not checks:
        return
    counted = ", ".join(f"count_if({refused}), any_value({quoted(name)}) FILTER ({refused})" for name, refused, _ in checks)
    with _readable(path):
        (counts,) = connection.execute(f"SELECT {counted} FROM {table} WHERE {where}").fetchall()
    for (name, _, rule), count, example in zip(checks, counts[::2], counts[1::2], strict=True):
        if count:
            raise misfit(path, what, f"column '{name}': {rule}", f"{example} ({count} rows)", "fix or leave out those rows")


def within(time: str, span: Span) -> str:
    """SQL that holds where ``time``, in milliseconds, lies in ``span``."""
    bounds = [f"{time} {sign} {ms}" for sign, ms in _bounds(span)]
    return " AND ".join(bounds) or "true"


def _raw_within(time: str, found: str, span: Span) -> str:
    """`within` on the file's own type, so that a Parquet reader skips what lies outside."""
    if found in INTEGERS:
        return within(time, span)
    bounds = [f"{time} {sign} CAST(epoch_ms(CAST({ms} AS BIGINT)) AS {found})" for sign, ms in _bounds(span)]
    return " AND ".join(bounds) or "true"


def _bounds(span: Span) -> list[tuple[str, int]]:
    return [(sign, ms) for sign, ms in ((">=", span.start_ms), ("<", span.end_ms)) if ms is not None]
