"""Events as JSON: read by the types of their source, and refused by the rules of the stream (rule 8, docs/messages.md)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, NamedTuple

from .errors import RefusedError
from .plan import DIGITS, Column, Source

DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSET = r"[Zz]|[+-](0\d|1[0-7])(:[0-5]\d(:[0-5]\d)?)?|[+-]18(:00(:00)?)?"
MOMENT = re.compile(rf"\d{{4}}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{{1,9}})?)?({OFFSET})", re.ASCII)
"""ISO 8601 with an offset."""
HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""Stands in JSON where there is a surrogate, or half of one."""
LONGEST = 20
"""Digits of a whole number of 64 bits, with its sign."""
WRITTEN = 1000
"""Characters of a number at most: no column holds one that needs as many."""
SHOWN = 40
OWN = "_edge"
"""The field that the runner adds to an event in its outbox."""


class Event(NamedTuple):
    """An event that is taken. A decimal is its whole number of units, 1250 for 12.50 of decimal(12,2)."""

    source: str
    id: int | str
    time: int
    columns: dict[str, Any]
    text: str
    """As it came."""


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


class _NotFinite(str):
    """NaN or an infinity."""

    __slots__ = ()


def read(source: Source, text: str, now_ms: int, max_ahead_ms: int, max_age_days: int) -> Event:
    """The event in a line. Raises `RefusedError`."""
    try:
        text.encode()
        constants: list[_NotFinite] = []
        found = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=lambda name: _kept(constants, name))
    except (ValueError, RecursionError) as error:
        raise RefusedError("not_json", f"an event is one JSON object; {error}") from None
    if not isinstance(found, dict):
        raise RefusedError("not_json", f"an event is one JSON object; got {_brief(text)}")
    if OWN in found:
        raise RefusedError("not_json", f"'{OWN}' is the runner's own field; got an event that has it; send the event as it was")
    columns = {column.name: _value(column, found.get(column.name)) for column in source.columns}
    if constants:  # in a field that is no column; as it is, nobody could publish it
        raise RefusedError("not_json", f"an event is one JSON object; got {constants[0]}, which JSON does not have")
    if HALF.search(text) and _has_half(found):
        raise RefusedError("not_json", "an event is one JSON object in UTF-8; got half of a surrogate pair")
    if columns[source.time] is None:
        raise RefusedError("missing_time", f"{source.time} is missing")
    for name in source.required:
        if columns[name] is None:
            raise RefusedError("missing_key", f"{name} is missing")
    when = columns[source.time]
    if when < max(0, now_ms - max_age_days * DAY_MS) or when > now_ms + max_ahead_ms:
        came = "is before 1970" if when < 0 else "is too old" if when < now_ms else f"is {when - now_ms} ms ahead of the clock"
        raise RefusedError("time_out_of_bounds", f"{source.time} {came}; got {when}")
    return Event(source.name, columns[source.event_id], when, columns, text)


def read_again(source: Source, text: str) -> Event:
    """The event in a line that was taken before: whatever its time is by now. Raises `RefusedError`."""
    return read(source, text, 0, 2**63, 0)


def typed(column: Column, value: Any) -> Any:
    """A column's value as functions see it: a decimal is the nearest double, or a whole number where it has no places."""
    if value is None or column.kind != "decimal" or not column.scale:
        return value
    return value / 10**column.scale


def _kept(constants: list[_NotFinite], name: str) -> _NotFinite:
    constants.append(_NotFinite(name))
    return constants[-1]


def _has_half(found: Any) -> bool:
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, _NotFinite):
        raise RefusedError("not_finite", f"{column.name} is {column.text}; got {value}")
    found = READ[column.kind](column, value)
    if found is None:
        came = _brief(value) if isinstance(value, _Number) else _brief(json.dumps(value))
        raise RefusedError("wrong_type", f"{column.name} is {column.text}; got {came}")
    return found


def _whole(column: Column, value: Any) -> int | None:
    """3.0 and 3e0 are 3."""
    number = _number(value)
    if number is not None and not number:  # 0e99
        return 0
    if number is None or number.adjusted() >= LONGEST or number != number.to_integral_value(context=DIGITS):
        return None
    found = int(number)
    return found if -(2**63) <= found < 2**63 else None


def _decimal(column: Column, value: Any) -> int | None:
    """In units; more digits than the column has are refused, zeros at the end do not count."""
    number = _number(value)
    if number is None or (number and number.adjusted() >= column.precision - column.scale):
        return None
    if number and number.adjusted() < -column.scale:
        return None
    units = number.scaleb(column.scale, DIGITS) if number else Decimal(0)
    return int(units) if units == units.to_integral_value(context=DIGITS) else None


def _double(column: Column, value: Any) -> float | None:
    if not isinstance(value, _Number):
        return None
    found = float(value)
    if not isfinite(found):
        raise RefusedError("not_finite", f"{column.name} is {column.text}; got {_brief(value)}")
    return found + 0.0  # rule 7: -0.0 is 0.0


def _moment(column: Column, value: Any) -> int | None:
    if isinstance(value, _Number):
        return _whole(column, value)
    try:
        if isinstance(value, str) and MOMENT.fullmatch(value):
            return (datetime.fromisoformat(value.upper()) - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):  # the 30th of February, say
        pass
    return None


def _text(column: Column, value: Any) -> str | None:
    if type(value) is not str:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return value


def _truth(column: Column, value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: Any) -> Decimal | None:
    try:
        return Decimal(value) if isinstance(value, _Number) and len(value) <= WRITTEN else None
    except InvalidOperation:
        return None


READ = {"int64": _whole, "decimal": _decimal, "float64": _double, "timestamp": _moment, "string": _text, "bool": _truth}
"""How a value of each kind is read; None where it does not fit."""


def _brief(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
