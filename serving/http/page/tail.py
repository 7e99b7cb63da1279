"""The newest records of a topic, and single ones, for whoever looks: a bounded number, within a bounded time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kafka import TopicPartition
from kafka.errors import AuthorizationError, KafkaError

from features.errors import StackError
from schemas.newest import newest
from serving.http.page.panel import Empty
from serving.http.positions import beginnings, ends
from serving.kafka.clients import PollingConsumer

SECONDS = 2.0
"""How long a look takes at most."""
READER = {
    "fetch_max_bytes": 2**20,
    "max_partition_fetch_bytes": 2**19,
    "bootstrap_timeout_ms": 2_000,
    "request_timeout_ms": 2_500,
    "metadata_max_age_ms": 10_000,
}
"""A look keeps about a megabyte, and gives up soon."""
NO_KAFKA = Empty(
    "It was not known where Kafka is when 'headrace serve' started: start it again once a stack is up.", "headrace up"
)


class Tail:
    """A consumer that stays open between two looks. One thread at a time has it."""

    def __init__(self, reader: Mapping[str, Any]) -> None:
        self._reader = {**reader, **READER}
        self._consumer: Any = None

    def newest(self, topic: str, most: int) -> Iterator[Any]:
        """The last ``most`` records of each partition; none without the topic. Raises `StackError` where Kafka is away."""
        with self._open() as consumer:
            yield from newest(consumer, (topic,), most, SECONDS)

    def at(self, topic: str, places: Sequence[tuple[int, int]]) -> Iterator[Any]:
        """The record of each partition and offset; None of what Kafka does not have. Raises `StackError` where Kafka is away."""
        with self._open() as consumer:
            known = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
            first, last = (beginnings(consumer, known), ends(consumer, known)) if known else ({}, {})
            for partition, offset in places:
                place = TopicPartition(topic, partition)
                yield _one(consumer, place, offset) if place in first and first[place] <= offset < last[place] else None

    def close(self) -> None:
        """Leave Kafka."""
        if self._consumer is not None:
            with suppress(KafkaError):
                self._consumer.close()
        self._consumer = None

    @contextmanager
    def _open(self) -> Iterator[Any]:
        try:
            if self._consumer is None:
                self._consumer = PollingConsumer(**self._reader)
            yield self._consumer
        except AuthorizationError as error:
            raise StackError(
                f"the page reads this topic, and Kafka does not let it ({type(error).__name__}); give the service the right to "
                "(docs/secured-kafka.md)"
            ) from None
        except KafkaError as error:
            self.close()  # another look begins anew
            raise StackError(f"Kafka does not reply ({type(error).__name__}); 'headrace status' says what runs") from None


def _one(consumer: Any, place: TopicPartition, offset: int) -> Any:
    consumer.assign([place])
    consumer.seek(place, offset)
    records = consumer.poll(timeout_ms=round(SECONDS * 1000), max_records=1).get(place, ())
    return next((record for record in records if record.offset == offset), None)
