"""Event files as DuckDB reads them: each column is held against the definition of its source, or the file is refused.

History, training and scoring read them into tables (`jobs.history.tables`), publish and replay in batches
(`jobs.ingest.event_files`): by the same rules, which are in `jobs.history.readings`.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import msgspec

from features.errors import SettingError
from features.plan import Column, ColumnType, Source
from features.service import Resources
from features.sql.quoting import literal, quoted
from features.times import ALWAYS, Span, out_of_bounds
from jobs.history.json_lines import FAULT
from jobs.history.places import Place, Written, place
from jobs.history.readings import (
    FINITE_TIME,
    FLOATS,
    INTEGERS,
    NUMBER,
    TIMES,
    Reading,
    bounds,
    milliseconds,
    of_stored,
    of_text,
    of_truth_as_number,
    possible_time,
    teach,
    within,
)
from jobs.history.scans import Scan, copied, misfit, readable, scan
from jobs.history.united import united

RESOURCES = Resources()
STORED_IN_TYPES = ("parquet", "table")
"""The kinds of places whose columns have types of their own."""
PLAIN = INTEGERS | {"UBIGINT", "HUGEINT", "VARCHAR", "BOOLEAN", '"NULL"'}
SHOWN = 60
"""Characters of a value in an error."""
EMPTY = '""'
LAST_NS = 9_223_372_036_854
"""The last millisecond that a time in nanoseconds can be."""


class Rows(msgspec.Struct, frozen=True):
    """The rows of a file, and those within a span of event times, as SQL."""

    place: Place
    what: str
    """For errors: ``rows of 'payments'``."""
    table: str
    """What they are selected from."""
    numbered: str
    """The same with ``_file`` and ``_place``, where a row lies; counted from 1."""
    types: Mapping[str, str]
    """The file's own columns with their DuckDB types."""
    readings: Mapping[str, Reading]
    """Of each column that is wanted. That of an event time gives NULL for one that is not possible (rule 8), too."""
    required: frozenset[str]
    """The columns in which no row may have null."""
    time: str | None
    """The column with the event time; None where the file has none."""
    moment: str
    """SQL of the event time, possible or not; NULL where the file has none."""
    possible: Span
    """The event times that are possible."""
    within: str
    """SQL that holds for the rows of the span, in the file's own types where it can, so that Parquet skips what lies outside."""
    copied: str | None = None
    """The temporary table that a database's was copied to."""
    verbatim: frozenset[str] = frozenset()
    """Columns of text that goes out as the JSON that it is."""
    parts: tuple[Rows, ...] = ()
    """The rows of each run of files whose columns have types of their own; none: all files have the same."""

    def value(self, name: str) -> str:
        """SQL of a column's value; NULL for what cannot be used."""
        return self.readings[name].value

    def checked(self, name: str) -> str:
        """SQL of a column's value; what cannot be used ends the query: `refusing` says why."""
        reading = self.readings[name]
        if name in self.required:
            return f"COALESCE({reading.value}, error('null or unfit'))"
        if reading.rule:
            return f"COALESCE({reading.value}, CASE WHEN {quoted(name)} IS NOT NULL THEN error('unfit') END)"
        return reading.value


def connect(threads: int = 2, resources: Resources = RESOURCES) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own in memory, in UTC, which keeps the order of rows; what ``resources`` has no room for, it puts on disk.

    In a folder of this process, which is gone when the process ends.
    """
    limit = f"{resources.memory_mb}MiB" if resources.memory_mb else "50%"
    connection = duckdb.connect(config={"threads": threads, "autoinstall_known_extensions": "false"})
    connection.execute(f"SET memory_limit = '{limit}'; SET temp_directory = {literal(_spill(resources))}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # it writes to stdout, where commands print JSON
    teach(connection)
    return connection


def rows_of_source(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    written: Written,
    required: Collection[str],
    span: Span,
    possible: Span,
    texts: bool = False,
    at: int | None = None,
) -> Rows:
    """The rows of files, or of a database's table, with the columns and types of ``source``; none of a file is read yet.

    With ``texts``, JSON Lines have each line's bytes as ``_text``. ``at`` is the event time of all rows, where they have none.
    Raises `SettingError` for a file that is not there, is of another kind, or lacks a column.
    """
    what = f"rows of '{source.name}'"
    there = place(written, what)
    columns = [*source.columns, *_written_arrival(source, there)]
    given = [column for column in columns if at is None or column.name != source.time]
    if there.kind == "table":
        scans = [copied(connection, source, given, written, there)]
    else:
        scans = scan(connection, there, given, texts)
    needed = frozenset({source.time, *required})
    parts = [_rows(source, one, given, what, needed, span, possible, at) for one in scans]
    return parts[0] if len(parts) == 1 else united(source, there, parts, span)


def _rows(
    source: Source,
    found: Scan,
    given: Collection[Column],
    what: str,
    required: frozenset[str],
    span: Span,
    possible: Span,
    at: int | None,
) -> Rows:
    """The rows of files of one type, or of a table."""
    there, table, numbered, types = found.place, found.table, found.numbered, dict(found.types)
    readings = {column.name: _reading(source, column, types, there) for column in given}
    if at is not None:
        if source.time in types:
            rule = f"entities are as of one time, and have no column '{source.time}'"
            raise misfit(there.text, what, rule, "one", "leave it out, or take the rows as events")
        table, numbered = (f"(SELECT *, CAST({at} AS BIGINT) AS {quoted(source.time)} FROM {rows})" for rows in (table, numbered))
        types[source.time] = "BIGINT"
        readings[source.time] = Reading(quoted(source.time))
    moment = readings[source.time].value
    return Rows(
        place=there,
        what=what,
        table=table,
        numbered=numbered,
        types=types,
        readings={**readings, source.time: possible_time(readings[source.time], possible)},
        required=required,
        time=source.time,
        moment=moment,
        possible=possible,
        within=_raw_within(quoted(source.time), types[source.time], moment, span),
        copied=found.table if there.kind == "table" else None,
    )


def rows_as_they_are(connection: duckdb.DuckDBPyConnection, written: Written, span: Span) -> Rows:
    """The rows of a file of no known source: all its columns, times and days as milliseconds, finer digits cut off.

    The first column of times of a Parquet file is the event time. A column of a CSV is numbers where every field is one, or
    truth values; else it is text. Raises `SettingError` for a file that is not there or of another kind, and for a ``span``
    where there is no event time.
    """
    there = place(written, "events")
    if there.kind == "table":
        rule = "a table of a database is read as rows of a source"
        raise misfit(there.text, "events", rule, "no source", "name the topic in definitions.py")
    found, *others = scan(connection, there, (), texts=True)
    if others:
        rule = f"the files of a glob have the columns of its first, {found.place.files[0]}, of the same types"
        raise misfit(others[0].place.text, "events", rule, "others", "write them alike, or name the topic in definitions.py")
    table, numbered, types = found.table, found.numbered, found.types
    time = next((name for name, found in types.items() if found in TIMES), None)
    if time is None and span != ALWAYS:
        rule = "a span is of event times, and these are known for a topic that a service reads, or a Parquet file with times"
        raise misfit(there.text, "events", rule, "neither", "publish it whole, or name the topic in definitions.py")
    moment = milliseconds(quoted(time), types[time]) if time else "NULL"
    return Rows(
        place=there,
        what="events",
        table=table,
        numbered=numbered,
        types=types,
        readings={name: _as_it_is(name, found) for name, found in types.items()},
        required=frozenset(),
        time=time,
        moment=moment,
        possible=ALWAYS,
        within=within(moment, span) if time else "true",
        verbatim=_verbatim(connection, there, table, types) if there.kind == "csv" else frozenset(),
    )


def check(connection: duckdb.DuckDBPyConnection, rows: Rows, names: Collection[str] | None = None) -> int:
    """Read the whole file; gives the number of rows in the span.

    Raises `SettingError` for the first of the columns ``names``, by default all, that has a value which does not fit, or a null
    although it is required. Event times are looked at wherever they lie, other columns in the rows of the span.
    """
    if rows.parts:
        return sum(check(connection, part, names) for part in rows.parts)
    refused = _refused(rows, rows.readings if names is None else names)
    counts = ", ".join(["count_if(_within)", *(f"count_if({condition})" for condition in refused.values())])
    with readable(rows.place):
        (found,) = connection.execute(f"SELECT {counts} FROM ({_with_span(rows, rows.table)})").fetchall()
    for (name, condition), count in zip(refused.items(), found[1:], strict=True):
        if count:
            raise _refusal(connection, rows, name, condition, count)
    return int(found[0] or 0)


def in_order(connection: duckdb.DuckDBPyConnection, rows: Rows, moment: str) -> bool:
    """Whether the file's rows are in the order of ``moment``, SQL of a time."""
    moments = f"SELECT {moment} AS _at FROM {rows.table}"
    with readable(rows.place):
        (found,) = connection.execute(
            f"SELECT count_if(_earlier) FROM (SELECT _at < lag(_at) OVER () AS _earlier FROM ({moments}))"
        ).fetchall()
    return not found[0]


def _spill(resources: Resources) -> str:
    """A folder that DuckDB makes once it needs it, and removes. Raises `SettingError` where that cannot be."""
    within = (resources.spill or Path(tempfile.gettempdir())).absolute()
    try:
        within.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        rule = "history.spill_folder is a folder, or one can be made there"
        raise SettingError(f"{rule}; got {within}: {error.strerror}; name another") from None
    return str(within / f"headrace-{uuid.uuid4().hex}")


@contextmanager
def refusing(connection: duckdb.DuckDBPyConnection, rows: Rows) -> Iterator[None]:
    """Where a query of `Rows.checked` ends early: the error that `check` gives."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, OSError) as error:
        with readable(rows.place):
            check(connection, rows)
            raise error


def _written_arrival(source: Source, there: Place) -> list[Column]:
    """The column of arrivals as one of times, which whole numbers are too, where it is text and the source does not have it."""
    if source.arrival is None or there.kind in STORED_IN_TYPES or source.arrival in {column.name for column in source.columns}:
        return []
    return [Column(source.arrival, ColumnType("timestamp"))]


def _reading(source: Source, column: Column, types: Mapping[str, str], there: Place) -> Reading:
    if column.name not in types:
        rule = f"source '{source.name}' has column '{column.name}' of type {column.type}"
        got = f"no such column, but {', '.join(types)}"
        raise misfit(there.text, f"rows of '{source.name}'", rule, got, "add it, or change the definition")
    if there.kind == "lines":
        return of_text(column.name, column.type, "json")
    found = types[column.name]
    if there.kind == "csv" or column.name in there.partitions or (there.kind == "table" and found == "VARCHAR"):
        return of_text(column.name, column.type, "csv")
    if there.text.startswith("sqlite:") and column.type.kind == "bool" and found == "BIGINT":
        return of_truth_as_number(column.name)
    return of_stored(column.name, column.type, found)


def _as_it_is(name: str, found: str) -> Reading:
    if found in TIMES:
        return Reading(milliseconds(quoted(name), found), FINITE_TIME)
    if found == "DATE":
        return Reading(f"epoch_ms({quoted(name)})")
    if found in FLOATS:
        return of_stored(name, ColumnType("float64"), found)
    if found in PLAIN or found.startswith("DECIMAL"):
        return Reading(quoted(name))
    return Reading("NULL", f"is a number, a text, a truth value or a time; this is {found}, which goes out as JSON Lines only")


def _verbatim(connection: duckdb.DuckDBPyConnection, there: Place, table: str, types: Mapping[str, str]) -> frozenset[str]:
    """The columns of a CSV whose fields are all numbers, or all truth values, as JSON writes them."""
    kinds = [f"bool_and({kind})" for name in map(quoted, types) for kind in (_is_number(name), f"{name} IN ('true', 'false')")]
    with readable(there):
        (found,) = connection.execute(f"SELECT {', '.join(kinds)} FROM {table}").fetchall()
    return frozenset(name for name, *are in zip(types, found[::2], found[1::2], strict=True) if any(are))


def _is_number(name: str) -> str:
    return f"regexp_full_match({name}, {literal(NUMBER)})"


def _with_span(rows: Rows, table: str, *others: str) -> str:
    """The columns that are read, for a file may have one called ``_within``, ``others``, and whether a row is in the span."""
    columns = [*map(quoted, rows.readings), *([FAULT] if rows.place.kind == "lines" else []), *others]
    return f"SELECT {', '.join(columns)}, COALESCE({rows.within}, false) AS _within FROM {table}"


def _refused(rows: Rows, names: Collection[str]) -> dict[str, str]:
    """What to look at, by column: SQL over `_with_span` that holds where a row is refused."""
    faults = {FAULT: f"{FAULT} IS NOT NULL"} if rows.place.kind == "lines" else {}
    return faults | {
        name: (f"{reading.value} IS NULL" if name in rows.required else f"{quoted(name)} IS NOT NULL AND {reading.value} IS NULL")
        + ("" if name == rows.time else " AND _within")
        for name, reading in rows.readings.items()
        if name in names and (reading.rule or name in rows.required)
    }


def _refusal(connection: duckdb.DuckDBPyConnection, rows: Rows, name: str, condition: str, count: int) -> SettingError:
    """The error for the first of the rows for which ``condition`` holds."""
    numbered = _with_span(rows, rows.numbered, "_file", "_place")
    with readable(rows.place):
        (found,) = connection.execute(
            f"SELECT _file, _place, CAST({quoted(name)} AS VARCHAR), {rows.moment} FROM ({numbered}) "
            f"WHERE {condition} ORDER BY _file, _place LIMIT 1"
        ).fetchall()
    file, place, raw, moment = found
    advice = "fix that row, or leave it out" if count == 1 else f"fix the {count} rows that are so, or leave them out"
    return SettingError(f"{file}, {rows.what}, row {place}: {_fault(rows, name, raw, moment)}; {advice}")


def _fault(rows: Rows, name: str, raw: str | None, moment: int | None) -> str:
    """What is wrong with a value: the rule, and what came."""
    if name == FAULT:
        return str(raw)
    if raw is None:
        return f"column '{name}' is never null: keys, ids and times (rule 8); got null"
    if name == rows.time and moment is not None:
        why = out_of_bounds(moment, rows.possible, int(time.time() * 1000))
        return f"column '{name}' is a time within stream.max_age_days and stream.max_ahead_ms (rule 8); got {raw}, which {why}"
    shown = raw if len(raw) <= SHOWN else f"{raw[:SHOWN]}…"
    return f"column '{name}' {rows.readings[name].rule}; got {shown or EMPTY}"


def _raw_within(time: str, found: str, moment: str, span: Span) -> str:
    """`within` on the file's own type, where that is a time or a whole number."""
    if found in INTEGERS:
        return within(time, span)
    if found not in TIMES:
        return within(moment, span)
    ends = [(sign, min(ms, LAST_NS) if found.endswith("_NS") else ms) for sign, ms in bounds(span)]
    return " AND ".join(f"{time} {sign} CAST(epoch_ms(CAST({ms} AS BIGINT)) AS {found})" for sign, ms in ends) or "true"
