"""Histories as DuckDB tables, of files that fit the definition of their source.

A table has the source's columns in its own types, the event time as BIGINT milliseconds, ``_arrival`` (rule 3) and ``_row``,
the place in its file of a query, NULL for a row that is only history.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

import duckdb
import msgspec

from features.plan import Source
from features.sql.quoting import quoted
from features.times import EVENT_TIMES, EventTimes, Span
from jobs.history.files import Rows, check, refusing, rows_of_source
from jobs.history.places import Written
from jobs.history.readings import within
from jobs.history.scans import misfit

PART = 1 << 40
"""Rows of a later file are numbered from the next multiple of this."""


class File(msgspec.Struct, frozen=True):
    """Rows of a source, in files or in a table of a database."""

    path: Written
    queries: Span | None = None
    """Event times of the rows that are queries; None: no row is."""
    at: int | None = None
    """The time of all rows, where they are entities, which have none of their own; None: each row has one."""


def create_table(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    files: Sequence[File],
    required: Collection[str],
    rows: Span,
    times: EventTimes = EVENT_TIMES,
) -> None:
    """Make the table ``source.name`` of the files' rows within ``rows``; a later file's rows arrive later.

    A row whose event id is in a later file too is left out: an event is counted once. Null in a ``required`` column, whatever
    does not fit the source's types, and an event time that ``times`` does not take, is a `SettingError`.
    """
    possible = times.span(int(time.time() * 1000))
    found = [rows_of_source(connection, source, file.path, required, rows, possible, at=file.at) for file in files]
    if len(files) == 1:
        selected = _by_arrival(source, f"({_selected(source, files[0], found[0], 0)})")
        _create(connection, source, found[0], source.name, selected)
    else:
        _create_of_parts(connection, source, files, found)
    for copied in (one.copied for one in found if one.copied):
        connection.execute(f"DROP TABLE {copied}")


def _create_of_parts(connection: duckdb.DuckDBPyConnection, source: Source, files: Sequence[File], found: Sequence[Rows]) -> None:
    """The table of several files, of rows that are each in the last one that has their ids."""
    event_id = quoted(source.event_id)
    parts = [f"_part_{number}" for number, _ in enumerate(files)]
    for number, (file, its, part) in enumerate(zip(files, found, parts, strict=True)):
        _create(connection, source, its, part, _selected(source, file, its, PART * number))
    kept = " UNION ALL ".join(
        f"SELECT * FROM {part}" + "".join(f" ANTI JOIN {later} USING ({event_id})" for later in parts[number + 1 :])
        for number, part in enumerate(parts)
    )
    connection.execute(f"CREATE TABLE {quoted(source.name)} AS {_by_arrival(source, f'({kept})')}")
    for part in parts:
        connection.execute(f"DROP TABLE {part}")


def _create(connection: duckdb.DuckDBPyConnection, source: Source, rows: Rows, table: str, selected: str) -> None:
    """A table of rows that are known to fit."""
    if source.arrival is not None and source.arrival not in rows.types:
        rule = f"rows arrive in the order of column '{source.arrival}'"
        raise misfit(rows.place.text, rows.what, rule, "no such column", "add it")
    if rows.within != "true":
        check(connection, rows, [source.time])  # what is left out of the span is known to be out of it
    with refusing(connection, rows):
        connection.execute(f"CREATE TABLE {quoted(table)} AS {selected}")


def _selected(source: Source, file: File, rows: Rows, first_place: int) -> str:
    """SQL of the rows of one file, with the places in which they lie and arrive."""
    values = ", ".join(f"{rows.checked(column.name)} AS {quoted(column.name)}" for column in source.columns)
    return (
        f"SELECT *, {_row(source, file)} AS _row FROM ("
        f"SELECT {values}, {_arrives(source, rows)} AS _arrives, {first_place} + row_number() OVER () AS _place "
        f"FROM {rows.table} WHERE {rows.within})"
    )


def _by_arrival(source: Source, rows: str) -> str:
    """SQL of rows with their ``_arrival``. Numbered once they are sorted, which needs less memory than a window."""
    if source.arrival is None:
        return f"SELECT * EXCLUDE (_arrives, _place), _place AS _arrival FROM {rows}"
    ordered = f"(SELECT * FROM {rows} ORDER BY _arrives, _place)"
    return f"SELECT * EXCLUDE (_arrives, _place), row_number() OVER () AS _arrival FROM {ordered}"


def _arrives(source: Source, rows: Rows) -> str:
    """SQL of what a row's arrival is ordered by."""
    if source.arrival is None:
        return "NULL"
    return rows.checked(source.arrival) if source.arrival in rows.readings else quoted(source.arrival)


def _row(source: Source, file: File) -> str:
    """The number of a query, else null."""
    if file.queries is None:
        return "CAST(NULL AS BIGINT)"
    return f"CASE WHEN {within(quoted(source.time), file.queries)} THEN _place END"
