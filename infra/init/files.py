"""A look at a file of events. Parquet says its types; of CSV and JSON lines they are told from the values."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from features.errors import SettingError
from features.sql.quoting import quoted
from features.times import ALWAYS, day_of, to_ms
from infra.init.columns import Column, of_integers, of_json
from infra.init.look import Look, object_of
from jobs.history.files import connect, rows_as_they_are
from jobs.history.readings import TIMES, milliseconds

PARQUET, CSV, LINES = ".parquet", ".csv", (".jsonl", ".ndjson")
ROWS = 10_000
"""That are looked at."""
INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"})
TYPES = {"VARCHAR": "string", "BOOLEAN": "boolean", "FLOAT": "double", "DOUBLE": "double"}
DECIMAL_DIGITS = 18


def of_file(path: Path) -> Look:
    """The columns of a Parquet, CSV or JSON lines file; raises `SettingError` where it cannot be read or has no events."""
    if path.suffix not in (PARQUET, CSV, *LINES) or not path.is_file():
        raise SettingError(f"a schema is proposed from a .parquet, .csv or .jsonl file; {path} is none; name another")
    columns, events = _of_parquet(path) if path.suffix == PARQUET else _of_texts(path)
    if not events:
        raise SettingError(f"a schema is proposed from events; {path} has none; name another file")
    return Look(str(path), columns, events)


def whole_days(path: Path, column: str) -> tuple[date, int]:
    """The first day of a file that is there from its midnight on, and how many such days there are from it to the last.

    Raises `SettingError` for a time that lies in no day.
    """
    first, last = _ends_of_parquet(path, column) if path.suffix == PARQUET else _ends_of_texts(path, column)
    try:
        start, end = day_of(first), day_of(last)
    except OverflowError:
        raise SettingError(
            f"every event has a time, of the years 1 to 9999; '{column}' of {path} has some from {first} to {last} ms; "
            "fix these rows, or name another column with --time"
        ) from None
    return start + timedelta(days=1), max((end - start).days - 1, 0)


def _of_parquet(path: Path) -> tuple[tuple[Column, ...], int]:
    with connect() as connection:
        rows = rows_as_they_are(connection, path, ALWAYS)
        names = list(rows.types)
        found = connection.execute(f"SELECT {', '.join(map(quoted, names))} FROM {rows.table} LIMIT {ROWS}").fetchall()
    columns = [_stored(name, rows.types[name], [row[at] for row in found]) for at, name in enumerate(names)]
    return tuple(columns), len(found)


def _stored(name: str, found: str, values: Sequence[Any]) -> Column:
    there = tuple(value for value in values if value is not None)
    named = of_json(name, ["" for _ in there])  # whether a schema can have such a name, and whether it has values
    if not named.type:
        return named
    if found in TIMES:
        return Column(name, "timestamp", there)
    if found in INTEGERS:
        return of_integers(name, there)
    if found == "VARCHAR" and of_json(name, there).type == "timestamp":
        return Column(name, "string", there, "its times are texts; a Parquet file has times as timestamps or as UTC milliseconds")
    if found.startswith("DECIMAL") and int(found.removeprefix("DECIMAL(").partition(",")[0]) <= DECIMAL_DIGITS:
        return Column(name, found.lower(), there)
    if found not in TYPES:
        return Column(name, "", remark=f"its type, {found}, is none of a schema's")
    return Column(name, TYPES[found], there)


def _ends_of_parquet(path: Path, column: str) -> tuple[int, int]:
    with connect() as connection:
        rows = rows_as_they_are(connection, path, ALWAYS)
        found = rows.types[column]
        value = milliseconds(quoted(column), found) if found in TIMES else quoted(column)
        first, last = connection.execute(f"SELECT min({value}), max({value}) FROM {rows.table}").fetchall()[0]
    return int(first), int(last)


def _of_texts(path: Path) -> tuple[tuple[Column, ...], int]:
    with _events(path) as events:
        found = list(islice(events, ROWS))
    names = dict.fromkeys(name for event in found for name in event)
    return tuple(of_json(name, [event.get(name) for event in found]) for name in names), len(found)


def _ends_of_texts(path: Path, column: str) -> tuple[int, int]:
    with _events(path) as events:
        times = [time for event in events if (time := _ms(event.get(column))) is not None]
    return min(times), max(times)


def _ms(value: Any) -> int | None:
    if isinstance(value, int):
        return value
    try:
        return to_ms(datetime.fromisoformat(str(value)))
    except ValueError:
        return None


@contextmanager
def _events(path: Path) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a CSV or of JSON lines; a line that is no JSON object is none."""
    try:
        if path.suffix == CSV:
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
                yield ({name: _value(field) for name, field in row.items() if name} for row in csv.DictReader(text, restval=""))
        else:
            with path.open("rb") as lines:
                yield (event for line in lines if (event := object_of(line)) is not None)
    except (OSError, csv.Error) as error:
        raise SettingError(f"{path} cannot be read: {error}; fix or replace it") from None


def _value(field: Any) -> Any:
    """A field of a CSV as JSON would have it, if it were without quotes."""
    if not isinstance(field, str) or not field:
        return None
    if (truth := field.lower()) in ("true", "false"):  # pandas writes True
        return truth == "true"
    event = object_of(f'{{"value": {field}}}'.encode()) if field[0] in "-0123456789" else None
    value = event["value"] if event else None
    return value if isinstance(value, (int, Decimal)) else field
