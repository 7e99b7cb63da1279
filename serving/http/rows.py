"""The rows of a request: what an event says, and where the model takes window features, those; decoded by the plan."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from features.inputs.columns import window_types
from features.plan import ColumnType, Plan
from features.sql.flink.sizes import vector_key
from features.times import EventTimes, out_of_bounds
from schemas.codec import UNREADABLE
from serving.http.event_rules import moment
from serving.http.problems import ProblemError
from serving.predict.message import Int64, feature_type, struct, value_type
from serving.predict.vector import Vectors

EXACT = 2**53
"""From here on the next whole number may be no double."""


class Message(msgspec.Struct, gc=False):
    """What a receipt says of a row, in place of a feature vector's message."""

    event_id: int | str
    event_time: int
    plan: str
    origin: None
    arrived_at: int
    complete: bool


class Queries(NamedTuple):
    """The rows of one request, each a place in every list."""

    messages: list[Message]
    event: list[tuple[Any, ...]]
    """The columns that the models need, in the order of `Vectors.event`."""
    features: list[tuple[Any, ...]]
    """The window features, in the order of `Vectors.windows`."""
    keys: list[bytes]
    """What a canary's share is of: the key that the event's feature vector would have."""


class Rows:
    """Decodes requests for the models of one lineup.

    A row's ``event`` is the event as it would be published: the columns that the models need have to be there, other than keys
    they may be null. Those that receipts alone carry may be absent. Its time is now and its id is made where it has none.
    """

    def __init__(self, plan: Plan, vectors: Vectors, event_times: EventTimes, most: int) -> None:
        spine = plan.spine_source
        self.windows = vectors.windows
        self._plan, self._times, self._most = plan, event_times, most
        self._digest = plan.short_digest
        free = (spine.event_id, spine.time, *vector_key(plan))
        self._columns = tuple(dict.fromkeys((*vectors.event, *free)))
        self.needed = tuple(name for name in vectors.event if name in vectors.taken and name != spine.time)
        """The columns that a row's event has to have."""
        self.keys = frozenset(plan.required(spine))
        """The columns that may not be null."""
        self.types = {name: spine.column(name).type for name in self._columns}
        """The type of each column that is read."""
        self._id, self._time = self._columns.index(spine.event_id), self._columns.index(spine.time)
        self._key = [self._columns.index(name) for name in vector_key(plan)]
        self._width = len(vectors.event)
        self._carried = [place for place, name in enumerate(vectors.event) if name not in (*self.needed, spine.time)]
        self._converted = [
            (place, name, convert) for place, name in enumerate(self._columns) if (convert := _convert(self.types[name]))
        ]
        self._decode = msgspec.json.Decoder(self._body()).decode

    def _body(self) -> Any:
        places = {f"f{place}": name for place, name in enumerate(self._columns)}
        fields: list[Any] = []
        for place, name in places.items():
            kind = _type(self.types[name])
            kind = kind if name in self.keys else kind | None
            fields.append((place, kind) if name in self.needed else (place, kind | msgspec.UnsetType, msgspec.UNSET))
        event = msgspec.defstruct("Event", fields, rename=places, kw_only=True, gc=False)
        row: list[Any] = [("event", event)]
        if self.windows:
            types = window_types(self._plan)
            row.append(("features", struct("Features", {name: feature_type(types[name]) for name in self.windows})))
        return msgspec.defstruct("Body", [("rows", list[msgspec.defstruct("Row", row)])])  # type: ignore[misc]

    def decode(self, body: bytes, now_ms: int) -> Queries:
        """The rows of a request. Raises `ProblemError`: 400 for what is no such request, 413 for too many rows."""
        try:
            rows = self._decode(body).rows
        except UNREADABLE as error:
            raise ProblemError(400, self._refusal(str(error))) from None
        if len(rows) > self._most:
            raise ProblemError(413, f"a request has at most {self._most} rows (http.max_rows); got {len(rows)}; send several")
        possible = self._times.span(now_ms)
        queries = Queries([], [], [], [])
        for number, row in enumerate(rows):
            values = list(msgspec.structs.astuple(row.event))
            for place, name, convert in self._converted:
                value = values[place]
                if value is not None and value is not msgspec.UNSET:
                    try:
                        values[place] = convert(value)
                    except ValueError as error:
                        raise ProblemError(400, f"{error}; got {value!r:.40} at $.rows[{number}].event.{name}") from None
            event_time = values[self._time]
            if event_time is msgspec.UNSET:
                event_time = values[self._time] = now_ms
            elif event_time not in possible:
                what = out_of_bounds(event_time, possible, now_ms)
                raise ProblemError(
                    400, f"an event time is in UTC milliseconds; got {event_time}, which {what} at $.rows[{number}]"
                )
            event_id = values[self._id]
            if event_id is msgspec.UNSET:
                event_id = uuid.uuid4().hex
            key = [values[place] for place in self._key]
            absent = msgspec.UNSET in key
            for place in self._carried:
                values[place] = None if values[place] is msgspec.UNSET else values[place]
            queries.messages.append(Message(event_id, event_time, self._digest, None, now_ms, True))
            queries.event.append(tuple(values[: self._width]))
            queries.features.append(msgspec.structs.astuple(row.features) if self.windows else ())
            queries.keys.append((str(event_id) if absent else "|".join(map(str, key))).encode())
        return queries

    def _refusal(self, error: str) -> str:
        if self.windows and "`features`" in error:
            return (
                f"the model takes window features, which the stream has: {error}; send {', '.join(self.windows)} as the row's "
                f"features, or publish the event to '{self._plan.spine_source.topic}' and read {self._plan.predictions_topic}"
            )
        return f'a request is {{"rows": [{{"event": {{…}}}}]}}; {error}; see /openapi.json'


def _type(kind: ColumnType) -> Any:
    """What a column is decoded as, before it is converted."""
    if kind.kind == "timestamp":
        return Int64 | float | str
    return Int64 | float if kind.kind == "int64" else value_type(kind)


def _convert(kind: ColumnType) -> Callable[[Any], Any] | None:
    """Makes of a value what the stream has of it; raises `ValueError` where the stream would refuse it."""
    if kind.kind == "timestamp":
        return lambda value: moment(value) if type(value) is str else _whole(value)
    if kind.kind == "int64":
        return _whole
    if kind.kind == "decimal":
        return lambda value: _decimal(value, kind)
    return None


def _whole(value: int | float) -> int:
    if type(value) is int:
        return value
    if value != value // 1 or not -(2**63) <= value < 2**63:
        raise ValueError("a whole number of 64 bits")
    if abs(value) >= EXACT:
        raise ValueError("a whole number of 2**53 or more is written without a point or an exponent, which may round it")
    return int(value)


def _decimal(value: int | float, kind: ColumnType) -> int | float:
    beyond = 10 ** (kind.precision - kind.scale)
    # The largest decimals of 16 digits or more are read as the double above them.
    if abs(value) > beyond or (abs(value) == beyond and kind.precision < 16) or round(value, kind.scale) != value:
        raise ValueError(f"a {kind} has no more digits than that")
    return value if kind.scale else int(value)
