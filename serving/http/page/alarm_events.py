"""The events behind an alarm: predictions of its window whose value lies in the cells that moved most, looked up in their topic.

Predictions are read back by the hundred, so that they have to be found first. They lie about in the order of event time, which
need not be that of the clock: of a replay the topic's own times say nothing. So each partition is searched by halves for the
first offset whose event time is in the window, and from a little before that a bounded number of records is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import msgspec
import numpy as np
from kafka import TopicPartition
from kafka.errors import KafkaError

from features.errors import StackError
from features.inputs.drift import psi_terms
from features.inputs.reference import SCORE, Reference
from schemas.alarm import Alarm
from schemas.codec import UNREADABLE
from schemas.features import Value
from schemas.topics import predictions
from serving.http.page import tail
from serving.http.positions import beginnings, ends, go_on, partitions
from serving.kafka.clients import PollingConsumer

MOST_READ = 4000
"""Predictions that are read for one alarm, over all partitions."""
MOST_SHOWN = 20
BEFORE = 200
"""So many records before the place that was found are read too: a partition is only about in the order of event time."""
SECONDS = 8.0
"""How long it may take; what was found by then is shown, and that there may be more."""
POLL_MS = 500
MOVED = 0.9
"""The cells that moved most are those with more values than training had that together make this share of what all such cells add
to the index."""
READER = {**tail.READER, "max_poll_records": 500, "max_partition_fetch_bytes": 2**17}


class _Receipt(msgspec.Struct, gc=False):
    model: str
    version: int
    inputs: dict[str, Value]
    segments: dict[str, Value] = {}

    @property
    def values(self) -> dict[str, Value]:
        """The inputs, and the columns of the event that are carried beside them."""
        return self.inputs | self.segments


class _Predicted(msgspec.Struct, gc=False):
    event_id: int | str
    event_time: int
    score: float
    receipt: _Receipt


_decode = msgspec.json.Decoder(_Predicted).decode


class Event(msgspec.Struct, frozen=True):
    """One event behind an alarm. Its time is UTC milliseconds."""

    event_id: str
    """As text: a browser has no whole numbers beyond 2⁵³."""
    event_time: int
    value: str
    """Of the input that the alarm is of, as the text that it is in JSON."""
    cell: str
    """The cell of the histogram that it lies in."""
    score: float
    partition: int
    offset: int
    """Where its prediction lies, with the receipt."""


class Behind(msgspec.Struct, frozen=True):
    """What was found."""

    cells: list[str]
    """Those that moved most."""
    events: list[Event]
    """At most `MOST_SHOWN`, the oldest first."""
    in_window: int
    """Predictions of the alarm's version, window and segment among those that were read."""
    in_cells: int
    """Those of them whose value lies in these cells."""
    read: int
    is_all: bool
    """Whether the whole window was read; else there may be more."""


def moved_cells(alarm: Alarm) -> list[int]:
    """The places of the cells that have gained, the largest part of the index first, until they make `MOVED` of what all add."""
    trained, found = np.array(alarm.trained, np.float64), np.array(alarm.found, np.float64)
    gained = found / max(1.0, found.sum()) > trained / max(1.0, trained.sum())
    terms = np.where(gained, psi_terms(trained, found), 0.0)
    order = np.argsort(-terms, kind="stable")
    enough = int(np.searchsorted(np.cumsum(terms[order]), MOVED * terms.sum())) + 1
    return [int(place) for place in order[:enough] if terms[place] > 0]


def behind(alarm: Alarm, reference: Reference, reader: dict[str, Any], clock: Callable[[], float] = time.monotonic) -> Behind:
    """The events behind an alarm of a version with ``reference``; ``reader`` is what a consumer without a group is given.

    Raises `StackError` where Kafka does not reply.
    """
    until = clock() + SECONDS
    found = _Found(alarm, reference)
    try:
        with closing(PollingConsumer(**{**reader, **READER})) as consumer:
            search = _Search(consumer, lambda: clock() < until)
            topic = predictions(alarm.service).name
            places = partitions(consumer, (topic,))
            first, last = beginnings(consumer, places), ends(consumer, places)
            for place in places:
                start = search.first_at(place, alarm.window_start, first[place], last[place])
                end = search.first_at(place, alarm.window_end, start, last[place])
                start, end = max(first[place], start - BEFORE), min(last[place], end + BEFORE)
                stop = min(end, start + MOST_READ // len(places))
                for record in search.records(place, start, stop):
                    found.take(record)
                found.is_all &= stop == end and search.has_time()
    except KafkaError as error:
        raise StackError(f"Kafka does not reply ({type(error).__name__}); 'headrace status' says what runs") from None
    return found.told()


class _Search:
    """One consumer, going to and fro."""

    def __init__(self, consumer: Any, has_time: Callable[[], bool]) -> None:
        self._consumer, self.has_time = consumer, has_time

    def first_at(self, place: TopicPartition, when: int, low: int, high: int) -> int:
        """The first offset in [low, high) whose event time is ``when`` or later, were they in order; else ``high``."""
        while low < high and self.has_time():
            middle = (low + high) // 2
            one = next((told for record in self.records(place, middle, high) if (told := _predicted(record.value))), None)
            if one is None or one.event_time >= when:
                high = middle
            else:
                low = middle + 1
        return low

    def records(self, place: TopicPartition, start: int, stop: int) -> Iterator[Any]:
        """The records of these offsets."""
        if start >= stop:
            return
        go_on(self._consumer, {place: start})
        while self.has_time() and self._consumer.position(place) < stop:
            for record in self._consumer.poll(timeout_ms=POLL_MS).get(place, ()):
                if record.offset >= stop:
                    return
                yield record


class _Found:
    """What is known of an alarm's events so far."""

    def __init__(self, alarm: Alarm, reference: Reference) -> None:
        self._alarm, self._cells = alarm, moved_cells(alarm)
        self._known = {histogram.name: histogram.bins for histogram in reference.histograms}
        self._segment = reference.segment(alarm.segment) if alarm.segment else None
        self._events: list[Event] = []
        self._read = self._in_window = 0
        self.is_all = True

    def take(self, record: Any) -> None:
        """One more prediction."""
        alarm, one = self._alarm, _predicted(record.value)
        self._read += 1
        if one is None or not alarm.window_start <= one.event_time < alarm.window_end:
            return
        if (one.receipt.model, one.receipt.version) != (alarm.model, alarm.version):
            return
        values = {**one.receipt.values, SCORE: one.score}
        if self._segment is not None:
            segments, number = self._segment
            of_segments = self._cell(segments.column, values)
            if of_segments is None or segments.of_cells[of_segments] != number:
                return
        cell = self._cell(alarm.input, values)
        if cell is None:
            return
        self._in_window += 1
        if cell in self._cells:
            place = record.partition, record.offset
            text = msgspec.json.encode(values[alarm.input]).decode()
            self._events.append(Event(str(one.event_id), one.event_time, text, alarm.cells[cell], one.score, *place))

    def _cell(self, name: str, values: dict[str, Value]) -> int | None:
        """None where the monitor counts nothing: the receipt has no such value, or one that no receipt of the version has."""
        bins = self._known[name]
        if name not in values or (bins.kind == "number" and isinstance(values[name], str)):
            return None
        try:
            return int(bins.cells([values[name]])[0])
        except OverflowError:  # of a whole number that no double holds
            return None

    def told(self) -> Behind:
        """All of it."""
        shown = sorted(self._events, key=lambda event: (event.event_time, event.partition, event.offset))[:MOST_SHOWN]
        cells = [self._alarm.cells[cell] for cell in self._cells]
        return Behind(cells, shown, self._in_window, len(self._events), self._read, self.is_all)


def _predicted(value: bytes | None) -> _Predicted | None:
    """None for what is no prediction."""
    try:
        return _decode(value or b"")
    except UNREADABLE:
        return None
