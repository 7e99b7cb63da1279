"""Histories as DuckDB tables: files are checked against the definition of their source, then read.

A table has the source's columns in its own types, the event time as BIGINT milliseconds, ``_arrival`` (rule 3) and ``_row``,
the place in its file of a row to be answered, NULL for a row that is only history.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from features.errors import SettingError
from features.plan import Column, Source

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
PART = 1 << 40
"""Rows of a later file are numbered from the next multiple of this."""


class Between(msgspec.Struct, frozen=True):
    """Event times in (after, before), milliseconds; None is without end."""

    after: int | None = None
    before: int | None = None


class File(msgspec.Struct, frozen=True):
    """Rows of a source: Parquet, CSV or JSON lines; a Parquet path may be a glob."""

    path: Path
    asked: Between | None = None
    """Which of its rows are to be answered."""


class Reading(msgspec.Struct, frozen=True):
    """How a column of a file becomes the source's column."""

    value: str
    """SQL of the value."""
    refused: str = "false"
    """SQL that holds for a value which cannot be used."""
    rule: str = ""
    """What such a value breaks."""


def connect(threads: int = 2) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own in memory, in UTC, which keeps the order of rows."""
    connection = duckdb.connect(config={"threads": threads, "autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def create_table(
    connection: duckdb.DuckDBPyConnection, source: Source, files: Sequence[File], required: Collection[str], rows: Between
) -> None:
    """Make the table ``source.name`` of the files' rows within ``rows``; a later file's rows arrive later.

    A row whose event id is in a later file too is left out: an event is counted once. Null in a ``required`` column,
    and whatever does not fit the source's types, is a `SettingError`.
    """
    parts = []
    for number, file in enumerate(files):
        parts.append(f"_part_{number}")
        _read(connection, source, file, required, rows, parts[-1], PART * number)
    table, event_id = quoted(source.name), quoted(source.event_id)
    kept = " UNION ALL ".join(
        f"SELECT * FROM {part}" + "".join(f" ANTI JOIN {later} USING ({event_id})" for later in parts[number + 1 :])
        for number, part in enumerate(parts)
    )
    arrival = "row_number() OVER (ORDER BY _arrives, _place)" if source.arrival else "_place"
    connection.execute(f"CREATE TABLE {table} AS SELECT * EXCLUDE (_arrives, _place), {arrival} AS _arrival FROM ({kept})")
    for part in parts:
        connection.execute(f"DROP TABLE {part}")


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _read(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    file: File,
    required: Collection[str],
    rows: Between,
    table: str,
    first_place: int,
) -> None:
    reader = _reader(connection, source, file.path)
    types = _types(connection, reader, file.path)
    readings = {column.name: _reading(source, column, types, file.path) for column in source.columns}
    if source.arrival is not None and source.arrival not in types:
        raise _misfit(file.path, source, f"rows arrive in the order of column '{source.arrival}'", "no such column", "add it")
    _check(connection, source, file.path, reader, readings, required, rows)
    values = ", ".join(f"{reading.value} AS {quoted(name)}" for name, reading in readings.items())
    arrives = quoted(source.arrival) if source.arrival else "NULL"
    time = quoted(source.time)
    asked = f"CASE WHEN {_within(time, file.asked)} THEN _place END" if file.asked else "CAST(NULL AS BIGINT)"
    connection.execute(
        f"CREATE TABLE {table} AS SELECT *, {asked} AS _row FROM ("
        f"SELECT {values}, {arrives} AS _arrives, {first_place} + row_number() OVER () AS _place "
        f"FROM {reader} WHERE {_raw_within(time, types[source.time], rows)})"
    )


def _reader(connection: duckdb.DuckDBPyConnection, source: Source, path: Path) -> str:
    if not glob(str(path)):
        raise SettingError(f"history of source '{source.name}': no file {path}; put it there, or name another")
    name = "'" + str(path).replace("'", "''") + "'"
    if path.suffix == ".parquet":
        return f"read_parquet({name})"
    texts = [column.name for column in source.columns if column.type.kind == "string"]
    if path.suffix == ".csv":
        reader = f"read_csv({name}, sample_size = -1)"
        found = [text for text in texts if text in _types(connection, reader, path)]
        return f"read_csv({name}, sample_size = -1, types = {_struct(dict.fromkeys(found, 'VARCHAR'))})" if found else reader
    if path.suffix in {".jsonl", ".ndjson"}:
        reader = f"read_json({name}, format = 'newline_delimited', sample_size = -1)"
        types = _types(connection, reader, path)
        columns = {column: "VARCHAR" if column in texts else kind for column, kind in types.items()}
        return f"read_json({name}, format = 'newline_delimited', columns = {_struct(columns)})"
    raise SettingError(f"events are .parquet, .csv or .jsonl; got {path}; convert it")


def _struct(values: Mapping[str, str]) -> str:
    """A SQL struct of texts."""
    return "{" + ", ".join(f"{quoted(name)}: '{value}'" for name, value in values.items()) + "}"


def _types(connection: duckdb.DuckDBPyConnection, reader: str, path: Path) -> dict[str, str]:
    """The columns of a file with their DuckDB types."""
    try:
        return {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()}
    except duckdb.Error as error:
        raise SettingError(f"{path} cannot be read: {str(error).splitlines()[0]}; mend or replace it") from None


def _reading(source: Source, column: Column, types: Mapping[str, str], path: Path) -> Reading:
    rule = f"source '{source.name}' has column '{column.name}' of type {column.type}"
    if column.name not in types:
        raise _misfit(path, source, rule, f"no such column, but {', '.join(types)}", "add it, or change the definition")
    reading = READINGS[column.type.kind](column, types[column.name])
    if reading is None:
        raise _misfit(path, source, rule, types[column.name], "write it in that type, or change the definition")
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
    source: Source,
    path: Path,
    reader: str,
    readings: Mapping[str, Reading],
    required: Collection[str],
    rows: Between,
) -> None:
    """Refuse the file for its first column with a value that cannot be used."""
    checks = [(name, f"{quoted(name)} IS NULL", "keys, ids and times are never null (rule 8)") for name in sorted(required)]
    checks += [(name, reading.refused, reading.rule) for name, reading in readings.items() if reading.rule]
    counted = ", ".join(f"count_if({refused}), any_value({quoted(name)}) FILTER ({refused})" for name, refused, _ in checks)
    time = quoted(source.time)
    within = _within(readings[source.time].value, rows)
    counts = _row(connection, f"SELECT {counted} FROM {reader} WHERE {time} IS NULL OR ({within})", path)
    for (name, _, rule), count, example in zip(checks, counts[::2], counts[1::2], strict=True):
        if count:
            raise _misfit(path, source, f"column '{name}': {rule}", f"{example} ({count} rows)", "mend or leave out those rows")


def _row(connection: duckdb.DuckDBPyConnection, sql: str, path: Path) -> tuple[Any, ...]:
    try:
        row = connection.execute(sql).fetchone()
    except duckdb.Error as error:
        raise SettingError(f"{path} cannot be read: {str(error).splitlines()[0]}; mend or replace it") from None
    assert row is not None  # noqa: S101 - an aggregate has a row
    return tuple(row)


def _misfit(path: Path, source: Source, rule: str, got: str, advice: str) -> SettingError:
    return SettingError(f"{path}, history of '{source.name}': {rule}; got {got}; {advice}")


def _within(time: str, between: Between) -> str:
    bounds = [f"{time} > {between.after}"] if between.after is not None else []
    bounds += [f"{time} < {between.before}"] if between.before is not None else []
    return " AND ".join(bounds) or "true"


def _raw_within(time: str, found: str, between: Between) -> str:
    """`_within` on the file's own type, so that a Parquet reader skips what lies outside."""
    if found in INTEGERS:
        return _within(time, between)
    moments = (
        (sign, f"CAST(epoch_ms(CAST({ms} AS BIGINT)) AS {found})")
        for sign, ms in ((">", between.after), ("<", between.before))
        if ms is not None
    )
    return " AND ".join(f"{time} {sign} {moment}" for sign, moment in moments) or "true"
