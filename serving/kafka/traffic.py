"""What two versions predicted for the same events, read back from their topics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec
from kafka import TopicPartition

from schemas.codec import UNREADABLE

POLL_MS = 500

EventId = int | str


class Version(NamedTuple):
    """A version whose predictions are looked for."""

    topic: str
    model: str
    version: int


class Pair(NamedTuple):
    """An event that both have scored; times in milliseconds."""

    event_id: EventId
    key: bytes
    """Of its records: the entity's."""
    scores: tuple[float, float]
    latencies: tuple[int, int]
    """From the feature vector's record to the score."""


class _Receipt(msgspec.Struct):
    model: str
    version: int
    featured_at: int
    scored_at: int


class _Prediction(msgspec.Struct):
    event_id: EventId
    score: float
    receipt: _Receipt


_decode = msgspec.json.Decoder(_Prediction).decode


def pairs(consumer: Any, one: Version, other: Version, *, since_ms: int, most: int) -> list[Pair]:
    """The events that both versions have scored since ``since_ms``, of the newest ``most`` predictions of each.

    ``consumer`` is a KafkaConsumer without a group; its assignment is replaced. The scores of a pair are ``one``'s and
    ``other``'s.
    """
    ours = {p.event_id: (key, p) for key, p in _predictions(consumer, one, since_ms, most)}
    found = []
    for _, theirs in _predictions(consumer, other, since_ms, most):
        known = ours.pop(theirs.event_id, None)
        if known is not None:
            key, first = known
            found.append(Pair(theirs.event_id, key, (first.score, theirs.score), (_latency(first), _latency(theirs))))
    return found


def _latency(prediction: _Prediction) -> int:
    return prediction.receipt.scored_at - prediction.receipt.featured_at


def _predictions(consumer: Any, wanted: Version, since_ms: int, most: int) -> Iterator[tuple[bytes, _Prediction]]:
    for record in _records(consumer, wanted.topic, since_ms, most):
        try:
            prediction = _decode(record.value or b"")
        except UNREADABLE:  # what is no prediction is of no version
            continue
        if (prediction.receipt.model, prediction.receipt.version) == (wanted.model, wanted.version):
            yield record.key or str(prediction.event_id).encode(), prediction


def _records(consumer: Any, topic: str, since_ms: int, most: int) -> Iterator[Any]:
    """The records since then, at most the newest ``most``; those that come meanwhile are left."""
    places = [TopicPartition(topic, partition) for partition in sorted(consumer.partitions_for_topic(topic) or ())]
    if not places:
        return
    consumer.assign(places)
    ends: Mapping[TopicPartition, int] = consumer.end_offsets(places)
    since = consumer.offsets_for_times(dict.fromkeys(places, since_ms))
    for place, start in zip(places, _starts(places, ends, since, most), strict=True):
        consumer.seek(place, start)
    while any(consumer.position(place) < ends[place] for place in places):
        for record in chain.from_iterable(consumer.poll(timeout_ms=POLL_MS).values()):
            if record.offset < ends[TopicPartition(topic, record.partition)]:
                yield record


def _starts(
    places: Sequence[TopicPartition], ends: Mapping[TopicPartition, int], since: Mapping[TopicPartition, Any], most: int
) -> list[int]:
    share = most // len(places)
    return [max(since[place].offset if since[place] else ends[place], ends[place] - share) for place in places]
