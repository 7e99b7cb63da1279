"""Events in a request's body, held against the rules by which the stream takes them (docs/messages.md), one by one.

What is published are the bytes that came. So an event that would be a dead letter is refused here, with the column and what is
wrong, and none is changed on its way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from features.plan import ColumnType
from features.taken import Taken
from features.times import EventTimes, Span, moment_ms, out_of_bounds
from schemas.codec import UNREADABLE, without_repeats
from serving.http.problems import ProblemError
from serving.predict.message import Int64

EventId = int | str
NULL = msgspec.Raw(b"null")
LONGEST = 20
"""Characters of a whole number of 64 bits."""
LONGEST_NUMBER = 1000
"""Characters of a number that is read digit by digit."""
LONGEST_NAME = 50_000
"""Characters of a name; beyond it Jackson, by which the stream reads events, gives up."""
SHOWN = 40
SPACE = b" \t\r\n"

_all = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_many = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Event(NamedTuple):
    """An event that the stream would take."""

    id: EventId
    key: bytes | None
    """Of its record."""
    value: bytes
    """What came."""
    content: int
    """A digest of its columns: equal for one event that is written in two ways."""


class Refusal(NamedTuple):
    """Why an event is not published, or has no prediction."""

    status: int
    id: EventId | None
    detail: str


class EventRules:
    """Decodes the events of one topic."""

    def __init__(self, topic: str, taken: Taken, times: EventTimes, most: int) -> None:
        source = taken.source
        self.source, self.required = source, taken.required
        self._topic, self._times, self._most = topic, times, most
        self._names = [column.name for column in source.columns]
        checks = ((place, one.name, _check(one.type)) for place, one in enumerate(source.columns))
        self._checks = [(place, name, check) for place, name, check in checks if check is not None]
        self._required = [(place, name) for place, name in enumerate(self._names) if name in taken.required]
        self._id, self._time = self._names.index(source.event_id), self._names.index(source.time)
        self._key = None if taken.key is None else self._names.index(taken.key)
        places = {f"f{place}": name for place, name in enumerate(self._names)}
        kinds = {place: _read_as(source.column(name).type) for place, name in places.items()}
        fields = [(place, kind, NULL if kind is msgspec.Raw else None) for place, kind in kinds.items()]
        event = msgspec.defstruct("Event", fields, rename=places, gc=False)
        self._decode = msgspec.json.Decoder(event).decode
        has_id: Any = msgspec.defstruct("Id", [("id", Int64 | str | None, None)], rename={"id": source.event_id})
        self._decode_id = msgspec.json.Decoder(has_id).decode

    def one(self, body: bytes) -> Event | Refusal:
        """The event of a body that is one."""
        now = self._now()
        return self._event(body, now, self._times.span(now))

    def many(self, body: bytes, *, lines: bool) -> list[Event | Refusal]:
        """The events of a body: a JSON array, or JSON ``lines``.

        Raises `ProblemError`: 400 for what is neither, 413 for more than may be in one request.
        """
        parts: Sequence[bytes | msgspec.Raw]
        if lines:
            parts = [line for line in body.split(b"\n") if line.strip(SPACE)]
        else:
            try:
                parts = _many(body)
            except UNREADABLE as error:
                raise ProblemError(400, f"a body is an event as JSON, an array of them, or a line for each; {error}") from None
        if len(parts) > self._most:
            raise ProblemError(413, f"a request has at most {self._most} rows (http.max_rows); got {len(parts)}; send several")
        now = self._now()
        possible = self._times.span(now)
        return [self._event(bytes(part), now, possible) for part in parts]

    def id_of(self, value: bytes) -> EventId | None:
        """The id in the bytes of an event, good or bad."""
        try:
            found: EventId | None = self._decode_id(value).id
        except UNREADABLE:
            return None
        return found

    def _event(self, value: bytes, now_ms: int, possible: Span) -> Event | Refusal:
        try:
            value.decode()  # what the decoder passes over it does not look at
            values = list(msgspec.structs.astuple(self._columns(value)))
            if len(value) > LONGEST_NAME and max(map(len, _all(value))) > LONGEST_NAME:
                raise msgspec.DecodeError(f"a name has at most {LONGEST_NAME} characters")
        except UNREADABLE as error:
            return Refusal(400, self.id_of(value), f"an event is one JSON object, as it is published to '{self._topic}'; {error}")
        for place, name, check in self._checks:
            text = bytes(values[place]).decode()
            try:
                values[place] = None if text == "null" else check(text)
            except ValueError as error:
                return Refusal(400, self.id_of(value), f"{name} is {error}; got {_brief(text)}")
        for place, name in self._required:
            if values[place] is None:
                return Refusal(400, values[self._id], self._missing(name))
        when = values[self._time]
        if when not in possible:
            what = f"{self.source.time} {out_of_bounds(when, possible, now_ms)}"
            return Refusal(400, values[self._id], f"an event time is in UTC milliseconds; {what}; got {when}")
        key = None if self._key is None else str(values[self._key]).encode()
        return Event(values[self._id], key, value, hash(tuple(map(_told_apart, values))))

    def _columns(self, value: bytes) -> Any:
        try:
            return self._decode(value)
        except msgspec.ValidationError:  # perhaps of a value that a later one of its name takes the place of
            return self._decode(without_repeats(value))

    def _missing(self, name: str) -> str:
        if name == self.source.event_id:
            return f"an event has its id, by which a repeat is known; {name} is missing; send one of your own"
        return f"{name} is missing; an event to '{self._topic}' has {', '.join(sorted(self.required))}"

    @staticmethod
    def _now() -> int:
        return int(time.time() * 1000)


def is_array(body: bytes) -> bool:
    """Whether a body of JSON is an array."""
    return body.lstrip(SPACE)[:1] == b"["


def _read_as(kind: ColumnType) -> Any:
    """What a column is decoded as, before it is checked: numbers that have to be exact as they are written."""
    return {"float64": float | None, "string": str | None, "bool": bool | None}.get(kind.kind, msgspec.Raw)


def _check(kind: ColumnType) -> Callable[[str], Any] | None:
    """Makes of a value's JSON what the stream has of it; raises `ValueError`, the rule, where it would refuse it."""
    if kind.kind == "timestamp":
        return _moment
    if kind.kind == "int64":
        return _whole
    if kind.kind == "decimal":
        return lambda text: _decimal(text, kind)
    return None


def _moment(text: str) -> int:
    return moment(text[1:-1]) if text.startswith('"') else _whole(text)


def moment(text: str) -> int:
    """A time in ISO 8601 as the stream reads it, UTC milliseconds. Raises `ValueError`, the rule, for another text."""
    found = moment_ms(text)
    if found is None:
        raise ValueError("UTC milliseconds or ISO 8601 with its offset")
    return found


def _whole(text: str) -> int:
    """3.0 and 3e0 are 3."""
    if len(text) <= LONGEST and text.removeprefix("-").isdecimal():
        value = int(text)
    else:
        found = _number(text)
        if found is None or found.adjusted() >= LONGEST or found != found.to_integral_value():
            raise ValueError("a whole number of 64 bits")
        value = int(found)
    if not -(2**63) <= value < 2**63:
        raise ValueError("a whole number of 64 bits")
    return value


def _decimal(text: str, kind: ColumnType) -> Decimal:
    """More digits than the column has are refused; zeros at the end do not count."""
    value = _number(text)
    if value is None:
        raise ValueError(kind)
    exponent = int(value.as_tuple().exponent)
    digits = "".join(map(str, value.as_tuple().digits))
    scale = -(exponent + len(digits) - len(digits.rstrip("0")))
    if value and (value.adjusted() >= kind.precision - kind.scale or scale > kind.scale):
        raise ValueError(kind)
    return value


def _number(text: str) -> Decimal | None:
    """A JSON number, all of its digits; None where it is none, too long, or its exponent is beyond what can be read."""
    try:
        return Decimal(text) if text[0] in "-0123456789" and len(text) <= LONGEST_NUMBER else None
    except InvalidOperation:
        return None


def _told_apart(value: Any) -> Any:
    """A value by whose hash it is known: Python's hashes of -1 and -2 are one, and so are those of 0 and 2**61 - 1."""
    if isinstance(value, Decimal):
        return str(value.as_integer_ratio())
    return str(value) if type(value) in (int, float) else value


def _brief(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
