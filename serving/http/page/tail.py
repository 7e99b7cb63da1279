"""The newest records of a topic, and single ones, for whoever looks: a bounded number, within a bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kafka import TopicPartition
from kafka.errors import AuthorizationError, KafkaError

from features.errors import StackError
from serving.http.page.panel import Empty
from serving.http.positions import beginnings, ends, go_on, partitions
from serving.kafka.clients import PollingConsumer

SECONDS = 2.0
"""How long a look takes at most."""
AT_SECONDS = 5.0
"""How long it takes to read the records of some places."""
POLL_MS = 500
BLOCK = 20
"""Records of a partition that are read first, the newest; each block before it is twice as long."""
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
        self.is_whole = True
        """Whether the newest records that were looked at last are all that were wanted: there was time for them."""

    def newest(self, topic: str, most: int) -> Iterator[Any]:
        """The last ``most`` records of each partition, as far as `SECONDS` go; none without the topic.

        They come in blocks, the newest block first, each in the order of its partitions: where there is no time for all, the
        oldest are left out. Raises `StackError` where Kafka is away, or gives nothing in time: that would be no record where
        there are some.
        """
        self.is_whole, until, has_some, length = True, time.monotonic() + SECONDS, False, BLOCK
        with self._open() as consumer:
            places = partitions(consumer, (topic,))
            first, stops = (beginnings(consumer, places), ends(consumer, places)) if places else ({}, {})
            oldest = {place: max(first[place], stops[place] - most) for place in places}
            while left := [place for place in places if stops[place] > oldest[place]]:
                starts = {place: max(oldest[place], stops[place] - length) for place in left}
                go_on(consumer, starts)
                while any(consumer.position(place) < stops[place] for place in left):
                    if time.monotonic() >= until:
                        self.is_whole = False
                        if not has_some:
                            raise StackError(f"Kafka gave nothing of {topic} within {SECONDS:g} s")
                        return
                    for place, records in consumer.poll(timeout_ms=POLL_MS).items():
                        for record in records:
                            if record.offset < stops[place]:
                                has_some = True
                                yield record
                stops, length = stops | starts, 2 * length

    def at(self, topic: str, places: Sequence[tuple[int, int]]) -> Iterator[Any]:
        """The record of each partition and offset; None of what Kafka does not have.

        Raises `StackError` where Kafka is away, or too slow to tell.
        """
        until = time.monotonic() + AT_SECONDS
        with self._open() as consumer:
            known = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
            first, last = (beginnings(consumer, known), ends(consumer, known)) if known else ({}, {})
            for partition, offset in places:
                place = TopicPartition(topic, partition)
                yield _one(consumer, place, offset, until) if place in first and first[place] <= offset < last[place] else None

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
        except Exception:
            self.close()  # a consumer that raises anything else is not to be trusted with another look
            raise


def _one(consumer: Any, place: TopicPartition, offset: int, until: float) -> Any:
    go_on(consumer, {place: offset})
    while consumer.position(place) <= offset:  # beyond it, but for no record: compacted, or the mark of a Kafka transaction
        if time.monotonic() > until:
            raise StackError(
                f"Kafka gave what was looked for in {place.topic} not within {AT_SECONDS:g} s; try again, or fewer at once"
            )
        for record in consumer.poll(timeout_ms=POLL_MS, max_records=1).get(place, ()):
            return record if record.offset == offset else None
    return None
