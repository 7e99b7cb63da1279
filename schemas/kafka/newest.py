"""The newest records on Kafka, which a job, a scorer or the HTTP service looks up as it starts: it repeats none of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from kafka import TopicPartition

from schemas.topics import DEAD_LETTERS

LETTERS = 20_000
"""Of each partition; a dead letter before these may be written again, under the same key."""
POLL_MS = 500


def newest(consumer: Any, topics: Iterable[str], most: int, seconds: float) -> Iterator[Any]:
    """The last ``most`` records of each partition, up to its end as of now, as far as ``seconds`` go.

    ``consumer`` is a KafkaConsumer without a group; its assignment is replaced.
    """
    places = [TopicPartition(one, number) for one in topics for number in consumer.partitions_for_topic(one) or ()]
    if not places:
        return
    deadline = time.monotonic() + seconds
    consumer.assign(places)
    begins, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
    for place in places:
        consumer.seek(place, max(begins[place], ends[place] - most))
    while time.monotonic() < deadline and any(consumer.position(place) < ends[place] for place in places):
        yield from chain.from_iterable(consumer.poll(timeout_ms=POLL_MS).values())


def newest_letters(consumer: Any, seconds: float) -> Iterator[bytes | None]:
    """The values of the last `LETTERS` dead letters of each partition: of `newest`. They may be megabytes each."""
    for record in newest(consumer, (DEAD_LETTERS.name,), LETTERS, seconds):
        yield record.value
