"""How what stands in a file becomes a column's value: by the rules of docs/messages.md, which the stream has too.

A reading is SQL that gives the value, or NULL for what cannot be used. There is a table of readings for what Parquet stores, in
types, and one for what CSV and JSON Lines store, in text. docs/files.md shows them by example, and a test tries each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Literal

import duckdb
import msgspec
from duckdb.sqltypes import INTEGER, VARCHAR

from features.plan import ColumnType
from features.sql.quoting import literal, quoted
from features.times import ISO, Span

Text = Literal["csv", "json"]

INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
FLOATS = {"FLOAT": 1 << 24, "DOUBLE": 1 << 53}
"""Up to where each tells whole numbers apart."""
TIMES = {
    "TIMESTAMP WITH TIME ZONE": ("epoch_us", 1000),
    "TIMESTAMPTZ_NS": ("epoch_ns", 1_000_000),
    "TIMESTAMP": ("epoch_us", 1000),
    "TIMESTAMP_S": ("epoch_us", 1000),
    "TIMESTAMP_MS": ("epoch_us", 1000),
    "TIMESTAMP_NS": ("epoch_ns", 1_000_000),
}
"""What gives the time in a whole unit, and how many of that unit a millisecond has."""

NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
"""A number, as JSON has it."""
FINITE_TIME = "is a time, and none without end"
"""PostgreSQL has infinite times; to DuckDB the last number of 64 bits is one."""
LARGEST = 400
"""Digits that a number may have written out: more than any column has room for."""
LONGEST = 1000
"""Characters of a number that is read digit by digit: the stream reads no longer one."""


class Reading(msgspec.Struct, frozen=True):
    """How a column of a file is read."""

    value: str
    """SQL of the value; NULL where what is there cannot be used."""
    rule: str = ""
    """What is broken by what cannot be used; empty: there is no such thing."""


def teach(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the connection the function that readings of text use."""
    connection.create_function("written_out", _written_out, [VARCHAR, INTEGER], VARCHAR, null_handling="special")


def of_stored(name: str, wanted: ColumnType, found: str) -> Reading:
    """Of a column that Parquet stores as the DuckDB type ``found``."""
    reading = STORED[wanted.kind](quoted(name), wanted, found)
    return reading or Reading(f"CAST(NULL AS {sql_type(wanted)})", f"is {wanted}, and the file has {found}")


def of_text(name: str, wanted: ColumnType, written: Text) -> Reading:
    """Of a column that is text: a field of a CSV, or a value as it stands in JSON."""
    return WRITTEN[wanted.kind](quoted(name), wanted, written)


def of_truth_as_number(name: str) -> Reading:
    """Of a column of truth values that SQLite, which has none, stores as whole numbers."""
    return Reading(f"CASE {quoted(name)} WHEN 1 THEN true WHEN 0 THEN false END", "is true or false, which SQLite has as 1 or 0")


def within(time: str, span: Span) -> str:
    """SQL that holds where ``time``, in milliseconds, lies in ``span``."""
    return " AND ".join(f"{time} {sign} {ms}" for sign, ms in bounds(span)) or "true"


def bounds(span: Span) -> list[tuple[str, int]]:
    """The ends of a span that it has, each with the sign by which a time is compared with it."""
    return [(sign, ms) for sign, ms in ((">=", span.start_ms), ("<", span.end_ms)) if ms is not None]


def possible_time(time: Reading, possible: Span) -> Reading:
    """An event time that is NULL where it is not possible (rule 8)."""
    return Reading(f"CASE WHEN {within(time.value, possible)} THEN {time.value} END", time.rule or "is possible")


def sql_type(wanted: ColumnType) -> str:
    """The DuckDB type of a column's values; times are milliseconds."""
    if wanted.kind == "decimal":
        return f"DECIMAL({wanted.precision},{wanted.scale})"
    return {"int64": "BIGINT", "timestamp": "BIGINT", "float64": "DOUBLE", "string": "VARCHAR", "bool": "BOOLEAN"}[wanted.kind]


def milliseconds(name: str, found: str) -> str:
    """A time of the DuckDB type ``found`` in UTC milliseconds; finer digits are cut off, before 1970 too."""
    units, size = TIMES[found]
    when = f"{units}({name})"
    return f"CASE WHEN {when} >= 0 THEN {when} // {size} ELSE -(({size - 1} - {when}) // {size}) END"


def _stored_whole(name: str, wanted: ColumnType, found: str) -> Reading | None:
    if found in INTEGERS:
        return Reading(f"CAST({name} AS BIGINT)")
    rule = "is a whole number of 64 bits"
    if found in FLOATS:
        whole = f"{name} = trunc({name}) AND abs({name}) < {FLOATS[found]}"
        bits = FLOATS[found].bit_length() - 1
        return Reading(
            f"CASE WHEN {whole} THEN CAST({name} AS BIGINT) END", f"{rule}; a {found.lower()} holds them below 2^{bits}"
        )
    if found in {"UBIGINT", "HUGEINT", "UHUGEINT"}:
        return Reading(f"TRY_CAST({name} AS BIGINT)", rule)
    if found.startswith("DECIMAL"):
        return Reading(f"CASE WHEN {name} = trunc({name}) THEN TRY_CAST({name} AS BIGINT) END", rule)
    return None


def _stored_float(name: str, wanted: ColumnType, found: str) -> Reading | None:
    if found in FLOATS:
        # + 0.0: there is one zero
        return Reading(f"CASE WHEN isfinite({name}) THEN CAST({name} AS DOUBLE) + 0.0 END", "is finite (rule 5)")
    return Reading(f"CAST({name} AS DOUBLE)") if found in INTEGERS or found.startswith("DECIMAL") else None


def _stored_decimal(name: str, wanted: ColumnType, found: str) -> Reading | None:
    kind = sql_type(wanted)
    if found == kind:
        return Reading(name)
    if found not in INTEGERS | FLOATS.keys() and not found.startswith("DECIMAL"):
        return None
    exact = f"TRY_CAST(TRY_CAST({name} AS {kind}) AS {found}) = {name}"
    if found in FLOATS:
        exact += f" AND abs({name}) < {FLOATS[found]} / {10**wanted.scale}"
    return Reading(f"CASE WHEN {exact} THEN TRY_CAST({name} AS {kind}) END", f"is exact in {wanted}")


def _stored_time(name: str, wanted: ColumnType, found: str) -> Reading | None:
    return Reading(milliseconds(name, found), FINITE_TIME) if found in TIMES else _stored_whole(name, wanted, found)


def _stored_as(kind: str) -> Callable[[str, ColumnType, str], Reading | None]:
    return lambda name, wanted, found: Reading(name) if found == kind else None


STORED: dict[str, Callable[[str, ColumnType, str], Reading | None]] = {
    "int64": _stored_whole,
    "float64": _stored_float,
    "decimal": _stored_decimal,
    "timestamp": _stored_time,
    "string": _stored_as("VARCHAR"),
    "bool": _stored_as("BOOLEAN"),
}


def _written_whole(name: str, wanted: ColumnType, written: Text) -> Reading:
    return Reading(_whole(name), "is a whole number of 64 bits, written as in JSON")


def _written_float(name: str, wanted: ColumnType, written: Text) -> Reading:
    value = f"TRY_CAST({name} AS DOUBLE)"
    finite = f"CASE WHEN regexp_full_match({name}, {literal(NUMBER)}) AND isfinite({value}) THEN {value} + 0.0 END"
    return Reading(finite, "is a number that a double can hold, written as in JSON")


def _written_decimal(name: str, wanted: ColumnType, written: Text) -> Reading:
    before, behind = wanted.precision - wanted.scale, wanted.scale
    whole = f"(0|[1-9][0-9]{{0,{before - 1}}})" if before else "0"
    fraction = rf"(\.[0-9]{{1,{behind}}}0*)?" if behind else r"(\.0+)?"
    plain = f"length({name}) <= {LONGEST} AND regexp_full_match({name}, {literal(f'-?{whole}{fraction}')})"
    value = f"CASE WHEN {plain} THEN {name} ELSE written_out({name}, {behind}) END"
    return Reading(f"TRY_CAST({value} AS {sql_type(wanted)})", f"is exact in {wanted}, written as in JSON")


def _written_time(name: str, wanted: ColumnType, written: Text) -> Reading:
    quote = '"' if written == "json" else ""
    bare = f"upper(trim({name}, '\"'))" if quote else f"upper({name})"
    cut = rf"regexp_replace({bare}, '(\.[0-9]{{3}})[0-9]+', '\1')"
    moment = f"epoch_ms(TRY_CAST({cut} AS TIMESTAMPTZ))"
    value = f"CASE WHEN regexp_full_match(upper({name}), {literal(quote + ISO + quote)}) THEN {moment} ELSE {_whole(name)} END"
    return Reading(value, "is UTC milliseconds or ISO 8601 with its offset; write 2024-05-01T08:00:00Z, say")


def _written_text(name: str, wanted: ColumnType, written: Text) -> Reading:
    return Reading(name)


def _written_bool(name: str, wanted: ColumnType, written: Text) -> Reading:
    word = f"lower({name})" if written == "csv" else name  # pandas writes True
    return Reading(f"CASE {word} WHEN 'true' THEN true WHEN 'false' THEN false END", "is true or false")


WRITTEN: dict[str, Callable[[str, ColumnType, Text], Reading]] = {
    "int64": _written_whole,
    "float64": _written_float,
    "decimal": _written_decimal,
    "timestamp": _written_time,
    "string": _written_text,
    "bool": _written_bool,
}


def _whole(name: str) -> str:
    value = f"TRY_CAST({name} AS BIGINT)"
    return f"CASE WHEN CAST({value} AS VARCHAR) = {name} THEN {value} ELSE TRY_CAST(written_out({name}, 0) AS BIGINT) END"


_number = re.compile(NUMBER)


def _written_out(text: str | None, scale: int) -> str | None:
    """A JSON number without its exponent and zeros at the end; None for what is none, or has more than ``scale`` decimals.

    >>> _written_out("1.20e1", 0), _written_out("1e-3", 2), _written_out("0e999999999", 0)
    ('12', None, '0')
    """
    if text is None or len(text) > LONGEST or not _number.fullmatch(text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond all reason
        return None
    if not number:
        return "0"
    if not -LARGEST < number.adjusted() < LARGEST:
        return None
    whole, _, fraction = format(number, "f").partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > scale:
        return None
    return f"{whole}.{fraction}" if fraction else whole
