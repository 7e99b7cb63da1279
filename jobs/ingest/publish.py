"""Files as events: Parquet, CSV or JSON Lines to Kafka, flat out or to a schedule, in bounded memory.

An event is JSON without a header: times are UTC milliseconds, decimals are numbers with all their digits. Its key is the
source's entity key, so that the rows of a key keep their order. The record's own time is when it was sent.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.partitioner.default import DefaultPartitioner, murmur2

from features.errors import SettingError, StackError
from features.plan import Plan
from features.service import Resources
from features.taken import taken
from features.times import ALWAYS, EVENT_TIMES, EventTimes, Span
from jobs.history.files import RESOURCES
from jobs.history.places import Written, located
from jobs.ingest.event_files import Feed, read
from schemas.topics import LONGEST_BYTES

WINDOW = 20_000
"""Events sent and not yet acknowledged: kafka-python 3.0 has no buffer_memory to hold a producer back."""
BATCH_BYTES = 128 * 1024
PROGRESS_EVERY = 1000
SETTLE_SECONDS = 10
"""How long what was sent may take to arrive once no more is sent."""


class Event(NamedTuple):
    """A record to send."""

    time: int
    """Event time, UTC milliseconds; 0 where it has none."""
    topic: str
    key: bytes | None
    value: bytes


class Published(NamedTuple):
    """What was sent and acknowledged, and in how many seconds."""

    events: int
    seconds: float
    interrupted: bool = False
    """Whether it ended by Ctrl-C; ``events`` are then the first ones."""


Due = Callable[[int, Event], float]
"""When the nth event is due, in seconds from the first."""


def feed(
    file: Written, topic: str, plans: Iterable[Plan], times: EventTimes = EVENT_TIMES, resources: Resources = RESOURCES
) -> Feed:
    """``file`` to ``topic``, as the first plan that reads the topic wants it: keyed as its first windows over the source are.

    An event needs what any of the plans needs of it.
    """
    found = taken(topic, plans)
    if found is None:
        return Feed(file, topic, resources=resources)
    return Feed(file, topic, found.source, found.key, found.required, times, resources)


def feeds(folder: Path, plan: Plan, times: EventTimes, resources: Resources) -> list[Feed]:
    """The histories of a plan, as its project in ``folder`` names them, each to its source's topic."""
    return [feed(located(folder, source.history), source.topic, [plan], times, resources) for source in plan.sources]


def events(one: Feed, span: Span = ALWAYS) -> Iterator[Event]:
    """The file's rows within ``span``, in the order of the file."""
    for _, when, key, value in read(one, span):
        yield Event(when, one.topic, key, value)


def merged(feeds: Iterable[Feed], span: Span = ALWAYS) -> Iterator[Event]:
    """The rows of all files in the order in which they arrive; at equal times the earlier feed first.

    A row arrives at its event time, unless a column says when (tag ``arrival``): late rows are late again.
    """
    return map(itemgetter(1), heapq.merge(*(_arriving(one, span) for one in feeds), key=itemgetter(0)))


def _arriving(one: Feed, span: Span) -> Iterator[tuple[int, Event]]:
    for arrives, when, key, value in read(one, span, by_time=True):
        yield arrives, Event(when, one.topic, key, value)


def at_rate(rate: float) -> Due:
    """``rate`` events a second."""
    return lambda number, event: number / rate


def at_speed(speed: float) -> Due:
    """``speed`` times as fast as the event times run; an event without a time is due at once."""
    first: list[int] = []

    def due(number: int, event: Event) -> float:
        if not event.time:
            return 0
        if not first:
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
    skipped: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Published:
    """Send every event and wait until the brokers have them all; ``client`` is what a kafka-python client is given.

    ``due`` is when, by the ``clock``, None: at once. Ctrl-C ends it early. Raises `StackError` for the first event that could not
    be delivered, and the stream's own `SettingError`, both with the number of the events before it, which are in Kafka.
    ``skipped`` is how many the stream has left out.
    """
    linger = 0 if due else 20  # ms
    # acks="all" and idempotence, kafka-python's default, keep order over retries; measured, they cost nothing here.
    options = {"acks": "all", "linger_ms": linger, "batch_size": BATCH_BYTES, "max_request_size": LONGEST_BYTES}
    producer = KafkaProducer(**client, **options, partitioner=KeyPartitioner())
    sending = _Sending(producer, on_progress, skipped)
    began = time.monotonic()
    with closing(producer):
        try:
            sending.send(paced(stream, due, clock) if due else stream)
        except KeyboardInterrupt:
            sending.settle()
            return Published(sending.delivered, time.monotonic() - began, interrupted=True)
        except KafkaError as error:
            sending.settle()
            raise StackError(
                f"Kafka did not take an event; {type(error).__name__}: {error}; {sending.so_far}; does the topic exist?"
            ) from None
        except SettingError as error:
            sending.settle()
            raise SettingError(f"{error}; {sending.so_far}") from None
    return Published(sending.delivered, time.monotonic() - began)


class _Sending:
    """Events on their way."""

    def __init__(self, producer: KafkaProducer, on_progress: Callable[[int], None], skipped: int) -> None:
        self._producer, self._on_progress, self._skipped = producer, on_progress, skipped
        self._unconfirmed = deque[Any]()
        self.delivered = 0
        """The first so many are in Kafka."""

    @property
    def so_far(self) -> str:
        """The same in words, with how to go on."""
        if not self.delivered:
            return "no event was sent"
        return f"{self.delivered} events before it were sent; go on with --skip {self._skipped + self.delivered}"

    def send(self, stream: Iterable[Event]) -> None:
        """Send all, and return when they are in Kafka."""
        sent = 0
        for _, topic, key, value in stream:
            self._unconfirmed.append(self._producer.send(topic, value, key))
            sent += 1
            if len(self._unconfirmed) > WINDOW:
                self._confirm()
            if not sent % PROGRESS_EVERY:
                self._on_progress(sent)
        self._producer.flush()
        while self._unconfirmed:
            self._confirm()
        self._on_progress(sent)

    def settle(self) -> None:
        """Wait for what is on its way, as long as is polite, and count it."""
        with suppress(KafkaError):
            self._producer.flush(timeout=SETTLE_SECONDS)
        while self._unconfirmed and self._unconfirmed[0].succeeded():
            self._confirm()

    def _confirm(self) -> None:
        """Wait for the oldest that is on its way."""
        self._unconfirmed[0].get()
        self._unconfirmed.popleft()
        self.delivered += 1


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
