"""What a stack does, while it does it: counts from Kafka's offsets, latency and scores from the predictions themselves."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

import msgspec
import numpy as np
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError

from features.errors import StackError
from features.plan import Plan
from jobs.audit.ledger import Ledger, ledger_of
from jobs.audit.topics import READER, between, rows_of
from jobs.stream.topics import committed
from schemas import FeatureVector
from schemas.codec import decode_features, decode_late_row
from schemas.topics import DEAD_LETTERS, LATE_ROWS

RECENT = 5_000
"""Predictions that the latency on the screen is of."""
HIGH = 0.5
"""The score from which a prediction counts as high."""


class Seen(msgspec.Struct, frozen=True):
    """The system at one moment. Counts are since the watch began; latencies in milliseconds, of the last `RECENT` predictions."""

    seconds: float
    published: int
    """On the spine's topic."""
    features: int
    predictions: int
    dead_letters: int
    """Of events of the spine and of their feature vectors, each once."""
    event_time: int
    """The newest event time that was scored, UTC milliseconds."""
    reached: int
    """The event time that every partition of the predictions has come to."""
    p50: float
    p99: float
    high: int
    """Predictions of `HIGH` and more."""
    high_positive: int
    """Those of them whose event is labelled 1."""
    incomplete: int
    """Predictions whose receipt says `complete: false`."""

    @property
    def accounted(self) -> int:
        """Events that have a prediction or a dead letter."""
        return self.predictions + self.dead_letters


class _Receipt(msgspec.Struct):
    arrived_at: int
    complete: bool


class _Score(msgspec.Struct):
    """The part of a prediction that is watched."""

    event_id: int | str
    event_time: int
    score: float
    receipt: _Receipt


class Watch:
    """Follows the topics of ``plan`` from where they end when it is made; reads predictions in a thread of its own.

    Latency is from the producer's timestamp of the event to the scorer's of the prediction: from send to send. ``positives`` are
    the ids of the events that are labelled 1.
    """

    def __init__(self, client: Mapping[str, Any], plan: Plan, positives: Container[Any] = ()) -> None:
        self.scores: dict[int | str, float] = {}
        self.latencies: list[int] = []
        self._client = dict(client)
        self._plan = plan
        self._positives = positives
        self._counter = KafkaConsumer(**self._client, enable_auto_commit=False)
        self._topics = {
            topic: _partitions(self._counter, topic)
            for topic in (
                *(source.topic for source in plan.sources),
                plan.features_topic,
                plan.predictions_topic,
                DEAD_LETTERS.name,
                LATE_ROWS.name,
            )
        }
        self._start = self._ends()
        self._dead: set[str] = set()
        self._letters = KafkaConsumer(**self._client, enable_auto_commit=False, max_poll_records=5000)
        self._letters.assign(self._topics[DEAD_LETTERS.name])
        for partition in self._topics[DEAD_LETTERS.name]:
            self._letters.seek(partition, self._start[partition])
        self._began = time.monotonic()
        self._recent: deque[int] = deque(maxlen=RECENT)
        self._event_time = self._high = self._high_positive = self._incomplete = 0
        self._reached: dict[int, int] = {}
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="predictions", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._counter.close()
        self._letters.close()

    def seen(self) -> Seen:
        """The system now."""
        if self._failure:
            raise StackError(f"predictions could not be read: {self._failure}") from self._failure
        self._read_dead_letters()
        ends = self._ends()
        counts = {topic: sum(ends[p] - self._start[p] for p in several) for topic, several in self._topics.items()}
        recent = np.fromiter(list(self._recent), np.int64)
        p50, p99 = np.percentile(recent, (50, 99)).tolist() if len(recent) else (0.0, 0.0)
        return Seen(
            seconds=time.monotonic() - self._began,
            published=counts[self._plan.spine_source.topic],
            features=counts[self._plan.features_topic],
            predictions=counts[self._plan.predictions_topic],
            dead_letters=len(self._dead),
            event_time=self._event_time,
            reached=min(list(self._reached.values()), default=0),
            p50=p50,
            p99=p99,
            high=self._high,
            high_positive=self._high_positive,
            incomplete=self._incomplete,
        )

    def vectors(self) -> list[FeatureVector]:
        """The feature vectors since the watch began."""
        return [decode_features(record.value) for record in self._records(self._plan.features_topic)]

    def ledger(self) -> Ledger:
        """What came late since the watch began, as far as the stream job has said so by now."""
        entries = [decode_late_row(record.value) for record in self._records(LATE_ROWS.name)]
        ours = {entry.origin for entry in entries if entry.origin.topic in self._topics}
        return ledger_of(self._plan, entries, rows_of(self._client, ours))

    def _records(self, topic: str) -> Iterator[Any]:
        """The topic's records from where the watch began to where it ends now."""
        partitions = self._topics[topic]
        with closing(KafkaConsumer(**self._client, **READER)) as consumer:
            yield from between(consumer, self._start, self._counter.end_offsets(partitions))

    def _read_dead_letters(self) -> None:
        """Take note of what was refused: by the keys, as a dead letter may be written again."""
        ours = (self._plan.spine_source.topic, self._plan.features_topic)
        for records in self._letters.poll(timeout_ms=0).values():
            keys = [(record.key or b"").decode(errors="replace") for record in records]
            self._dead |= {key for key in keys if key.rsplit("-", 2)[0] in ours}

    def _ends(self) -> dict[TopicPartition, int]:
        return dict(self._counter.end_offsets([p for several in self._topics.values() for p in several]))

    def _read(self) -> None:
        try:
            with closing(KafkaConsumer(**self._client, enable_auto_commit=False, max_poll_records=2000)) as consumer:
                topic = self._plan.predictions_topic
                consumer.assign(_partitions(consumer, topic))
                consumer.seek_to_end()
                for partition in consumer.assignment():
                    consumer.position(partition)
                decode = msgspec.json.Decoder(_Score).decode
                while not self._stop.is_set():
                    for place, records in consumer.poll(timeout_ms=200).items():
                        self._take(place.partition, ((decode(record.value), record.timestamp) for record in records))
        except Exception as e:
            self._failure = e

    def _take(self, partition: int, predictions: Iterable[tuple[_Score, int]]) -> None:
        for prediction, sent in predictions:
            latency = sent - prediction.receipt.arrived_at
            self.scores[prediction.event_id] = prediction.score
            self.latencies.append(latency)
            self._recent.append(latency)
            self._event_time = max(self._event_time, prediction.event_time)
            self._reached[partition] = max(self._reached.get(partition, 0), prediction.event_time)
            self._incomplete += not prediction.receipt.complete
            if prediction.score >= HIGH:
                self._high += 1
                self._high_positive += prediction.event_id in self._positives


def _partitions(consumer: Any, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]


def caught_up(client: Mapping[str, Any], plan: Plan, group: str, seconds: float = 300) -> None:
    """Wait until the stream job has read all that its topics hold now: until the offsets of its group, committed with each
    checkpoint, are at the topics' ends. Raises `StackError` where that takes longer.
    """
    deadline = time.monotonic() + seconds
    with (
        closing(KafkaConsumer(**client, enable_auto_commit=False, isolation_level="read_committed")) as consumer,
        closing(KafkaAdminClient(**client)) as admin,
    ):
        wanted = consumer.end_offsets([p for source in plan.sources for p in _partitions(consumer, source.topic)])
        while not reached(admin, consumer, group, wanted):
            if time.monotonic() > deadline:
                raise StackError(f"the stream job did not read its topics within {seconds:.0f} s; see its log")
            time.sleep(0.25)


def reached(admin: Any, consumer: Any, group: str, wanted: Mapping[TopicPartition, int]) -> bool:
    """Whether a group has committed that it has read all records before these offsets."""
    read = committed(admin, group)
    return not any(_has_record(consumer, place, read.get(place, 0), end) for place, end in wanted.items())


def _has_record(consumer: Any, place: TopicPartition, begin: int, end: int) -> bool:
    """Whether there is a record between two offsets: marks of Kafka transactions have offsets too, and nobody commits them."""
    if begin >= end:
        return False
    consumer.assign([place])
    consumer.seek(place, max(begin, consumer.beginning_offsets([place])[place]))
    while consumer.position(place) < end:
        try:
            polled = consumer.poll(timeout_ms=1000, max_records=1)
        except CorruptRecordError:  # to kafka-python 3.0.12 a header's name that is no UTF-8; Flink reads the record
            return bool(consumer.position(place) < end)
        for record in polled.get(place, ()):
            return bool(record.offset < end)
    return False
