"""Files as events: Parquet, CSV or JSON Lines to Kafka, flat out or to a schedule, in bounded memory.

An event is JSON without a header: times are UTC milliseconds, decimals are numbers with all their digits. Its key is the
source's entity key, so that the rows of a key keep their order. The record's own time is when it was sent.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.partitioner.default import DefaultPartitioner, murmur2

from features.errors import StackError
from features.plan import Plan, Source
from features.times import ALWAYS, Span
from jobs.ingest.event_files import read

WINDOW = 20_000
"""Events sent and not yet acknowledged: kafka-python 3.0 has no buffer_memory to hold a producer back."""
BATCH_BYTES = 128 * 1024
PROGRESS_EVERY = 1000


class Event(NamedTuple):
    """A record to send."""

    time: int
    """Event time, UTC milliseconds; 0 where it has none."""
    topic: str
    key: bytes | None
    value: bytes


class Feed(NamedTuple):
    """A file to be published to a topic. ``source`` and ``key`` are None where no plan reads the topic."""

    file: Path
    topic: str
    source: Source | None = None
    key: str | None = None
    """The column whose value is the record's key."""


class Published(NamedTuple):
    """What was sent and acknowledged, and in how many seconds."""

    events: int
    seconds: float


Due = Callable[[int, Event], float]
"""When the nth event is due, in seconds from the first."""


def feed(file: Path, topic: str, plans: Iterable[Plan]) -> Feed:
    """``file`` to ``topic``, as the first plan that reads the topic wants it: keyed as its first windows over the source are."""
    for plan in plans:
        for source in plan.sources:
            if source.topic == topic:
                stages = sorted(plan.windows, key=lambda stage: stage.source != source.name)
                return Feed(file, topic, source, stages[0].key[0] if stages else None)
    return Feed(file, topic)


def events(one: Feed, span: Span = ALWAYS) -> Iterator[Event]:
    """The file's rows within ``span``, in the file's order."""
    for when, key, value in read(one.file, one.source, one.key, span):
        yield Event(when, one.topic, key, value)


def merged(feeds: Iterable[Feed], span: Span = ALWAYS) -> Iterator[Event]:
    """The rows of all files in order of event time; at equal times the earlier feed first. Each file is in order itself."""
    return heapq.merge(*(events(one, span) for one in feeds), key=itemgetter(0))


def at_rate(rate: float) -> Due:
    """``rate`` events a second."""
    return lambda number, event: number / rate


def at_speed(speed: float) -> Due:
    """``speed`` times as fast as the event times run."""
    first: list[int] = []

    def due(number: int, event: Event) -> float:
        if not number:
            first.append(event.time)
        return (event.time - first[0]) / 1000 / speed

    return due


def paced(
    stream: Iterable[Event], due: Due, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Event]:
    """Each event when it is due. Due times count from the first event, so a delay is caught up and never adds up."""
    start = None
    for number, event in enumerate(stream):
        start = clock() if start is None else start
        wait = start + due(number, event) - clock()
        if wait > 0:
            sleep(wait)
        yield event


def publish(
    stream: Iterable[Event],
    client: Mapping[str, Any],
    due: Due | None = None,
    on_progress: Callable[[int], None] = lambda count: None,
    clock: Callable[[], float] = time.monotonic,
) -> Published:
    """Send every event and wait until the brokers have them all; ``client`` is what a kafka-python client is given.

    ``due`` is when, by the ``clock``, None: at once. Raises `StackError` for the first event that could not be delivered.
    """
    linger = 0 if due else 20  # ms
    # acks="all" and idempotence, kafka-python's default, keep order over retries; measured, they cost nothing here.
    producer = KafkaProducer(**client, acks="all", linger_ms=linger, batch_size=BATCH_BYTES, partitioner=KeyPartitioner())
    began = time.monotonic()
    with closing(producer):
        try:
            count = _send(producer, paced(stream, due, clock) if due else stream, on_progress)
        except KafkaError as error:
            raise StackError(f"Kafka did not take an event; {type(error).__name__}: {error}; does the topic exist?") from None
    return Published(count, time.monotonic() - began)


def _send(producer: KafkaProducer, stream: Iterable[Event], on_progress: Callable[[int], None]) -> int:
    sent, unconfirmed = 0, deque[Any]()
    for _, topic, key, value in stream:
        unconfirmed.append(producer.send(topic, value, key))
        sent += 1
        if len(unconfirmed) > WINDOW:
            unconfirmed.popleft().get()
        if not sent % PROGRESS_EVERY:
            on_progress(sent)
    producer.flush()
    for future in unconfirmed:
        future.get()
    on_progress(sent)
    return sent


class KeyPartitioner(DefaultPartitioner):  # type: ignore[misc]
    """Kafka's default partitioner with its hash, pure Python in kafka-python, remembered for the keys seen last."""

    def partition(self, topic: str, key: object, serialized_key: bytes | None, value: object, data: object, cluster: Any) -> int:
        """The partition of the key, as any Kafka client would choose it."""
        if serialized_key is None:
            return int(super().partition(topic, key, serialized_key, value, data, cluster))
        return _hash(serialized_key) % len(cluster.partitions_for_topic(topic))


@lru_cache(maxsize=1 << 17)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF
