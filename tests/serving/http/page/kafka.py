"""Records on Kafka for tests of the page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import msgspec
from kafka import KafkaProducer

from features.plan import Plan
from schemas import DeadLetter, Origin, Prediction, Receipt
from schemas.topics import DEAD_LETTERS
from serving.http.page.sources import Sources

NOON = 1_533_729_600_000
"""2018-08-08 12:00:00 UTC."""


def plan_of(sources: Sources) -> Plan:
    """Of the one service."""
    return sources.plans[sources.services[0]]


def write(sources: Sources, topic: str, values: Sequence[Any], key: bytes | None = None) -> list[tuple[int, int]]:
    """Put records on partition 0 of a topic, messages or bytes; gives where each lies."""
    client: Any = sources.client
    with closing(KafkaProducer(**client)) as producer:
        encoded = [value if isinstance(value, bytes | None) else msgspec.json.encode(value) for value in values]
        sent = [producer.send(topic, value, key=key, partition=0).get(20) for value in encoded]
        return [(one.partition, one.offset) for one in sent]


def prediction(event_id: int | str, score: float = 0.25, **changes: Any) -> Prediction:
    """One of noon, that took 40 ms; ``changes`` are of its receipt."""
    origin = Origin("orders", 0, 7)
    times = {"arrived_at": NOON + 1000, "featured_at": NOON + 1030, "scored_at": NOON + 1040}
    receipt = Receipt(origin, "0" * 12, "orders", 3, "a" * 64, {"recent__count": 4, "recent__sum_price": None}, {}, True, **times)
    return Prediction(event_id, NOON, score, msgspec.structs.replace(receipt, **changes))


def dead_letter(topic: str, partition: int, offset: int, value: bytes | None, reason: Any = "not_json") -> DeadLetter:
    """Of the record at that place."""
    return DeadLetter(reason, "line 1: what came is no object", Origin(topic, partition, offset), NOON, value)


def write_letter(sources: Sources, value: bytes, key: bytes | None = None, *, keep: bool = True) -> tuple[int, int]:
    """Publish a bad event, and its dead letter, with the bytes or without; gives where that lies."""
    topic = plan_of(sources).spine_source.topic
    [(partition, offset)] = write(sources, topic, [value], key)
    [place] = write(sources, DEAD_LETTERS.name, [dead_letter(topic, partition, offset, value if keep else None)])
    return place
