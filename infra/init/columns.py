"""What a column of a file or of a topic's events is to be in a schema, by its values: a proposal, for the user to check."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

NAME = re.compile(r"(?!.*__)[^\W\d_][\w.-]*")
"""A name that a schema may have (`features.definitions.rules.columns`)."""
OF_TIMES = re.compile(
    r"(^|_)(time|timestamp|ts|at|date|datetime|when|millis|ms)($|_)|[a-z](Time|Timestamp|At|Date|Ts|Ms)$", re.ASCII
)
OF_MONEY = re.compile(
    r"(^|_)(amount|price|total|cost|fee|value|balance|revenue|discount|tax)($|_)|[a-z](Amount|Price|Total|Cost|Fee)$"
)
ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)")
SECONDS = range(946_684_800, 4_102_444_800)
"""Of the years 2000 to 2099."""
UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
LARGEST = 2**63
CENTS = 2
DECIMAL_DIGITS = 18


class Column(msgspec.Struct, frozen=True):
    """A column, as it was found."""

    name: str
    type: str
    """As ``schema_json`` has it; empty where the column is left out."""
    values: tuple[Any, ...] = ()
    """Those that are not null, of the events that were looked at."""
    remark: str = ""
    """What a user should know of it: why it is left out, what to check."""

    @property
    def distinct(self) -> int:
        """How many values it has that differ."""
        return len(set(self.values))


def of_json(name: str, values: Sequence[Any]) -> Column:
    """A field of JSON objects; fractions are `Decimal`."""
    found = tuple(value for value in values if value is not None)
    kinds = {type(value) for value in found}
    if not NAME.fullmatch(name):
        return Column(name, "", remark="a column's name is letters, digits, '_', '-' and '.', a letter first and no '__'")
    if not kinds:
        return Column(name, "", remark="it has no value in these events")
    if kinds & {dict, list}:
        return Column(name, "", remark="it is nested")
    if kinds == {bool}:
        return Column(name, "boolean", found)
    if kinds == {str}:
        return _of_texts(name, found)
    if kinds == {int}:
        return of_integers(name, found)
    if kinds <= {int, Decimal}:
        return of_fractions(name, found)
    return Column(name, "", remark=f"its values are of several types: {', '.join(sorted(kind.__name__ for kind in kinds))}")


def of_integers(name: str, values: tuple[int, ...]) -> Column:
    """Whole numbers: longs, or times where the name says so and they are milliseconds of this century."""
    if any(not -LARGEST <= value < LARGEST for value in values):
        return Column(name, "", remark="it has numbers beyond 64 bits")
    if values and OF_TIMES.search(name):
        unit = next((unit for unit, per_second in UNITS.items() if all(value // per_second in SECONDS for value in values)), None)
        if unit == "milliseconds":
            return Column(name, "timestamp", values)
        if unit:
            return Column(name, "long", values, f"it looks like {unit}; a time is UTC milliseconds")
    return Column(name, "long", values)


def of_fractions(name: str, values: tuple[Any, ...]) -> Column:
    """Numbers with a point: exact where the name says money and none has more than two places."""
    places = [-int(Decimal(str(value)).normalize().as_tuple().exponent) for value in values]
    if values and OF_MONEY.search(name) and max(places) <= CENTS:
        return Column(
            name, f"decimal({DECIMAL_DIGITS},{CENTS})", values, "guessed from its name; a value with more places is refused"
        )
    return Column(name, "double", values)


def _of_texts(name: str, values: tuple[str, ...]) -> Column:
    if all(ISO.fullmatch(value) for value in values):
        return Column(name, "timestamp", values)
    if OF_TIMES.search(name) and all(ISO.fullmatch(f"{value}Z") for value in values):
        return Column(name, "string", values, "it looks like a time without an offset, which could be of any hour")
    return Column(name, "string", values)
