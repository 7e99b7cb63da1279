"""One event on Kafka: its prediction, its feature vector, its own record, and the late rows that came after it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from features.plan import Plan
from jobs.audit.audit import decoded, vector_of
from jobs.audit.ledger import Place, key_in, keys_of
from jobs.audit.served import Served
from jobs.audit.topics import OnRead, newest_first, read, records_at
from jobs.history.compute import Progress
from schemas import FeatureVector, Origin, Prediction
from schemas.codec import decode_late_row, decode_prediction
from schemas.topics import LATE_ROWS

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
    told: OnRead | None = None if on_progress is None else lambda done, total: on_progress(f"reading {topic}", done, total)
    written = msgspec.json.encode(event_id)
    records = newest_first(client, topic, told) if at_ms is None else read(client, topic, at_ms, told)
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
    origins = [] if origin is None else [origin]
    return None, next((msgspec.json.decode(record.value) for record in records_at(client, origins)), None)


def late_after(plan: Plan, client: Mapping[str, Any], prediction: Prediction, event: Mapping[str, Any]) -> list[Arrived]:
    """The late rows in the event's windows that came after the event, by the stream job's ledger."""
    keys = keys_of(plan)
    at, longest = prediction.event_time, max((stage.longest_ms for stage in plan.windows), default=0)
    entries = {}
    for record in read(client, LATE_ROWS.name, max(0, prediction.receipt.featured_at - CLOCKS_MS)):
        entry = decoded(decode_late_row, record.value)
        if entry is not None and (entry.source, entry.view) in keys and at - longest < entry.event_time <= at:
            entries[entry.origin, entry.view] = entry
    records = {
        Origin(record.topic, record.partition, record.offset): record
        for record in records_at(client, {origin for origin, _ in entries})
    }
    found = []
    for (origin, view), entry in entries.items():
        record, source = records.get(origin), plan.source(entry.source)
        if record is None or not _after(prediction, origin, record.timestamp):
            continue
        row = msgspec.json.decode(record.value)
        key = keys[entry.source, view]
        place = Place(source.name, view, key_in(source, key, row))
        if place.key == tuple(event[name] for name in key) and source.topic == origin.topic:
            values = entry.changed if entry.counted else math.inf
            arrived = Arrived(place, origin, row[source.event_id], entry.event_time, record.timestamp, entry.late_ms, values)
            found.append(arrived)
    return found


def _after(prediction: Prediction, origin: Origin, arrived_at: int) -> bool:
    """Whether a row came after the event: in one partition by its place, else by Kafka's time."""
    own = prediction.receipt.origin
    if own is not None and (own.topic, own.partition) == (origin.topic, origin.partition):
        return origin.offset > own.offset
    return arrived_at >= prediction.receipt.arrived_at
