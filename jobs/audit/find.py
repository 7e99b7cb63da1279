"""One event on Kafka: its prediction, its feature vector, its own record, and the late rows that came after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from features.plan import Plan
from features.times import Span
from jobs.audit.audit import late_in, told, vector_of
from jobs.audit.ledger import Place, entries_of, keys_of
from jobs.audit.served import Served
from jobs.audit.topics import decode_event, decoded, newest_first, origin_of, read, records_at, rows_of
from jobs.history.compute import Progress
from schemas import FeatureVector, Origin, Prediction
from schemas.codec import decode_prediction

Event = Mapping[str, Any]
"""The columns of an event."""
CLOCKS_MS = 60_000
"""How far the clocks of those that write to Kafka may be apart."""


class Arrived(msgspec.Struct, frozen=True):
    """A late row of one of the event's windows that came after the event. Times are UTC milliseconds."""

    place: Place
    origin: Origin
    event_id: int | str
    event_time: int
    arrived_at: int
    """Kafka's timestamp of its record."""
    late_ms: int
    values: float
    """Values that it would have changed, of this event or others; infinite where the ledger has not counted all."""


def find_prediction(
    plan: Plan, client: Mapping[str, Any], event_id: int | str, at_ms: int | None = None, on_progress: Progress | None = None
) -> tuple[Prediction, int] | None:
    """The prediction of an event, and its partition: the newest first, or from those written at ``at_ms`` on."""
    topic = plan.predictions_topic
    written, on_read = msgspec.json.encode(event_id), told(on_progress, f"reading {topic}")
    records = newest_first(client, topic, on_read) if at_ms is None else read(client, topic, at_ms, on_read)
    for record in records:
        found = decoded(decode_prediction, record.value) if record.value and written in record.value else None
        if found is not None and found.event_id == event_id:
            return found, record.partition
    return None


def published(
    plan: Plan, client: Mapping[str, Any], one: Served, origin: Origin | None
) -> tuple[FeatureVector | None, Event | None]:
    """The event's feature vector, and the event as it was published; None of what Kafka no longer has."""
    vector = vector_of(plan, client, one)
    if vector is not None:
        return vector, vector.event
    return None, None if origin is None else rows_of(client, [origin]).get(origin)


def headers_of(client: Mapping[str, Any], origin: Origin) -> dict[str, str]:
    """The headers of the event's record: over HTTP it has the request's id and trace. None where Kafka no longer has it."""
    for record in records_at(client, [origin]):
        return {name: value.decode(errors="replace") for name, value in record.headers if value is not None}
    return {}


def late_after(plan: Plan, client: Mapping[str, Any], prediction: Prediction, event: Mapping[str, Any]) -> list[Arrived]:
    """The late rows in the event's windows that came after the event, by the stream job's ledger."""
    keys = keys_of(plan)
    at, since = prediction.event_time, max(0, prediction.receipt.featured_at - CLOCKS_MS)
    near = list(late_in(plan, client, Span(at - plan.longest_ms + 1, at + 1), since))
    late = {(entry.origin, entry.view): entry.late_ms for entry in near}
    rows: dict[Origin, Event] = {}
    arrived: dict[Origin, int] = {}
    for record in records_at(client, {entry.origin for entry in near}):
        origin, row = origin_of(record), decoded(decode_event, record.value)
        if row is not None and _after(prediction, origin, record.timestamp):
            rows[origin], arrived[origin] = row, record.timestamp
    return [
        Arrived(
            place=one.place,
            origin=one.origin,
            event_id=rows[one.origin][plan.source(one.place.source).event_id],
            event_time=one.event_time,
            arrived_at=arrived[one.origin],
            late_ms=late[one.origin, one.place.view],
            values=one.values,
        )
        for one in entries_of(plan, near, rows)
        if one.place.key == tuple(event[name] for name in keys[one.place.source, one.place.view])
    ]


def _after(prediction: Prediction, origin: Origin, arrived_at: int) -> bool:
    """Whether a row came after the event: in one partition by its place, else by Kafka's time."""
    own = prediction.receipt.origin
    if own is not None and (own.topic, own.partition) == (origin.topic, origin.partition):
        return origin.offset > own.offset
    return arrived_at >= prediction.receipt.arrived_at
