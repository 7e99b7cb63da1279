"""Which events have a prediction: the memory that lets the scorer drop what Flink repeats after a restart."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec
from kafka import TopicPartition

EventId = int | str
POLL_MS = 500


class Predicted:
    """The last ``window`` event ids of one partition.

    >>> predicted = Predicted(window=2)
    >>> [predicted.first_time(event) for event in (1, 1, 2, 3, 1)]
    [True, False, True, True, True]
    """

    def __init__(self, window: int, events: Iterable[EventId] = ()) -> None:
        self._window = window
        self._order: deque[EventId] = deque()
        self._seen: set[EventId] = set()
        for event in events:
            self.first_time(event)

    def __len__(self) -> int:
        return len(self._seen)

    def first_time(self, event: EventId) -> bool:
        """Whether ``event`` is not among the last; from now on it is."""
        if event in self._seen:
            return False
        self._seen.add(event)
        self._order.append(event)
        if len(self._order) > self._window:
            self._seen.discard(self._order.popleft())
        return True


class _IdOnly(msgspec.Struct):
    event_id: EventId


def read_back(consumer: Any, topic: str, partition: int, window: int) -> Predicted:
    """What the tail of a predictions partition says has a prediction: its last ``window`` records, up to its end as of now.

    ``consumer`` is a KafkaConsumer without a group; its assignment is replaced.
    """
    place = TopicPartition(topic, partition)
    consumer.assign([place])
    end: int = consumer.end_offsets([place])[place]
    begin: int = consumer.beginning_offsets([place])[place]
    consumer.seek(place, max(begin, end - window))
    decode = msgspec.json.Decoder(_IdOnly).decode
    predicted = Predicted(window)
    while consumer.position(place) < end:
        for record in consumer.poll(timeout_ms=POLL_MS).get(place, ()):
            if record.offset < end:
                with suppress(msgspec.DecodeError):  # what is no prediction is of no event
                    predicted.first_time(decode(record.value or b"").event_id)
    return predicted
