"""The newest dead letters on Kafka: what a job or a scorer looks up when it starts, so that it repeats none of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

from kafka import TopicPartition

from schemas.topics import DEAD_LETTERS

NEWEST = 20_000
"""Of each partition; a dead letter before these may be written again, under the same key."""
POLL_MS = 500


def newest_letters(consumer: Any, seconds: float) -> Iterator[bytes | None]:
    """The values of the last `NEWEST` dead letters of each partition, up to its end as of now, as far as ``seconds`` go.

    Dead letters may be megabytes each. ``consumer`` is a KafkaConsumer without a group; its assignment is replaced.
    """
    places = [TopicPartition(DEAD_LETTERS.name, number) for number in consumer.partitions_for_topic(DEAD_LETTERS.name) or ()]
    if not places:
        return
    deadline = time.monotonic() + seconds
    consumer.assign(places)
    begins, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
    for place in places:
        consumer.seek(place, max(begins[place], ends[place] - NEWEST))
    while time.monotonic() < deadline and any(consumer.position(place) < ends[place] for place in places):
        for record in chain.from_iterable(consumer.poll(timeout_ms=POLL_MS).values()):
            yield record.value
