"""Which events have a prediction: the memory that lets the scorer drop what Flink repeats after a restart."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from kafka import TopicPartition

from schemas.codec import UNREADABLE

EventId = int | str
POLL_MS = 500
DIGEST_BYTES = 16
"""Of an id that is a text: among a billion ids two share these 128 bits with a probability of 1e-21."""
NEVER_MS = 1 << 42
"""A time that no record has yet, of the year 2109: what a search by time begins with."""
NEAR = 0.95
"""A read-back of so much of the window is long enough: to search on would cost more than the rest is worth."""


class Predicted:
    """The last ``window`` event ids, of all partitions together. An id costs 75 to 95 bytes, however long its text is.

    >>> predicted = Predicted(window=2)
    >>> [predicted.first_time(event) for event in (1, 1, 2, 3, 1)]
    [True, False, True, True, True]
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._order: deque[int | bytes] = deque()
        self._seen: set[int | bytes] = set()
        self._forgotten: dict[int | bytes, int] = {}
        """How many places of the order are of ids that were forgotten since."""

    def __len__(self) -> int:
        return len(self._seen)

    def first_time(self, event: EventId) -> bool:
        """Whether ``event`` is not among the last; from now on it is."""
        return self.add(_kept(event))

    def add(self, kept: int | bytes) -> bool:
        """The same, of an event id as it is kept."""
        if kept in self._seen:
            return False
        self._seen.add(kept)
        self._order.append(kept)
        if len(self._order) > self._window:
            oldest = self._order.popleft()
            if not (self._forgotten and self._was_forgotten(oldest)):
                self._seen.discard(oldest)
        return True

    def forget(self, event: EventId) -> None:
        """It has no prediction after all: what comes of it next is its first."""
        kept = _kept(event)
        if kept in self._seen:
            self._seen.discard(kept)
            self._forgotten[kept] = self._forgotten.get(kept, 0) + 1

    def _was_forgotten(self, oldest: int | bytes) -> bool:
        """Whether that place of the order is of an id that was forgotten; then one less is."""
        places = self._forgotten.pop(oldest, 0)
        if places > 1:
            self._forgotten[oldest] = places - 1
        return places > 0


def _kept(event: EventId) -> int | bytes:
    return event if isinstance(event, int) else blake2b(event.encode(), digest_size=DIGEST_BYTES).digest()


class _IdOnly(msgspec.Struct):
    event_id: EventId


def read_back(consumer: Any, topic: str, partitions: Iterable[int], window: int) -> Predicted:
    """What the tails of these partitions of a predictions topic say has a prediction: their last ``window`` records together.

    They go back to one moment in all partitions, so that a busy one has no shorter memory than others, and up to their ends as of
    now. ``consumer`` is a KafkaConsumer without a group; its assignment is replaced.
    """
    places = [TopicPartition(topic, partition) for partition in partitions]
    consumer.assign(places)
    ends: dict[TopicPartition, int] = consumer.end_offsets(places)
    for place, offset in _starts(consumer, ends, window).items():
        consumer.seek(place, offset)
    decode = msgspec.json.Decoder(_IdOnly).decode
    kept: list[int | bytes] = []
    times = array("q")
    # By the position: what ends a partition may be no record but the mark of a Kafka transaction.
    while any(consumer.position(place) < end for place, end in ends.items()):
        for record in chain.from_iterable(consumer.poll(timeout_ms=POLL_MS).values()):
            if record.offset < ends[TopicPartition(topic, record.partition)]:
                with suppress(*UNREADABLE):  # what is no prediction is of no event
                    kept.append(_kept(decode(record.value or b"").event_id))
                    times.append(record.timestamp)
    predicted = Predicted(window)
    for place in np.argsort(np.asarray(times), kind="stable").tolist():  # the oldest is forgotten first
        predicted.add(kept[place])
    return predicted


def _starts(consumer: Any, ends: Mapping[TopicPartition, int], window: int) -> Mapping[TopicPartition, int]:
    """Where the last ``window`` records before ``ends`` begin: in all partitions at one moment, found by halving."""
    least: dict[TopicPartition, int] = consumer.beginning_offsets(list(ends))
    before, after = least, dict(ends)  # from `before` on there are more records than are wanted, from `after` on not
    since, until = 0, NEVER_MS
    if _between(before, ends) <= window:
        return before
    while until - since > 1 and _between(after, ends) < NEAR * window:
        middle = (since + until) // 2
        found = consumer.offsets_for_times(dict.fromkeys(ends, middle))
        at = {place: min(end, found[place].offset) if found[place] else end for place, end in ends.items()}
        if _between(at, ends) > window:
            since, before = middle, at
        else:
            until, after = middle, at
    for place in after:  # of a millisecond with many records, some
        after[place] -= min(window - _between(after, ends), after[place] - before[place])
    return after


def _between(starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> int:
    return sum(ends[place] - start for place, start in starts.items())
