"""The memory of answered events, and the delivery that it makes safe; without a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from features.errors import StackError
from features.feast.online import Cached, Key, Row
from features.plan import BatchView
from serving.kafka.answered import Answered
from serving.kafka.delivery import COMMIT_SECONDS, MAX_IN_FLIGHT, Delivery

pytestmark = pytest.mark.core

PLACE = TopicPartition("features.s", 0)
VIEW = BatchView("v", ("k",), ("x",), "s", "", "", "day")


@given(st.lists(st.integers(0, 20)), st.integers(1, 8))
def test_an_event_is_new_unless_among_the_last(events: list[int], window: int) -> None:
    """The last ``window`` new events are remembered, in the order in which they first came."""
    answered, remembered = Answered(window), list[int]()
    for event in events:
        new = event not in remembered
        if new:
            remembered = [*remembered, event][-window:]
        assert answered.first_time(event) is new
    assert len(answered) == len(remembered)


def test_an_id_is_a_number_or_a_text() -> None:
    """1 and "1" are two events."""
    answered = Answered(10, [1])
    assert answered.first_time("1")
    assert not answered.first_time(1)


class Sent:
    """A record on its way: what kafka-python's `send` gives."""

    def __init__(self) -> None:
        self.is_done = False
        self.error: Exception | None = None

    def succeeded(self) -> bool:
        """Whether the broker has it."""
        return self.is_done and self.error is None

    def get(self, timeout: float) -> None:
        """Wait; here nothing comes of waiting."""
        raise self.error or KafkaTimeoutError("still on its way")


class Wire:
    """A producer and consumer that write down what they are told."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.commits: list[int] = []
        self.now = 0.0

    def send(self, topic: str, **record: Any) -> Sent:
        """Take a record."""
        self.sent.append(Sent())
        return self.sent[-1]

    def flush(self, timeout: float) -> None:
        """All arrive."""
        for sent in self.sent:
            sent.is_done = True

    def commit_async(self, offsets: dict[TopicPartition, Any], callback: Callable[..., None]) -> None:
        """Take a commit."""
        self.commits.append(offsets[PLACE].offset)

    def commit(self, offsets: dict[TopicPartition, Any]) -> None:
        """Take a commit."""
        self.commits.append(offsets[PLACE].offset)

    def delivery(self) -> Delivery:
        """What is tested, on this."""
        return Delivery(self, self, lambda: self.now)


def test_offset_is_committed_when_all_before_it_is_acknowledged() -> None:
    """A poll whose records are acknowledged waits for the polls before it."""
    wire = Wire()
    delivery = wire.delivery()
    for offset in (10, 20):
        delivery.send("predictions.s", b"")
        delivery.end_poll({PLACE: offset})
    wire.sent[1].is_done = True
    wire.now = COMMIT_SECONDS
    delivery.settle()
    assert wire.commits == []
    wire.sent[0].is_done = True
    delivery.settle()
    assert wire.commits == [20]


def test_commits_go_on_where_nothing_is_new() -> None:
    """They are how a scorer hears that another took over; they are no more frequent than that takes."""
    wire = Wire()
    delivery = wire.delivery()
    delivery.begin({PLACE: 5})
    for now in (0.0, COMMIT_SECONDS, COMMIT_SECONDS * 1.5, COMMIT_SECONDS * 2):
        wire.now = now
        delivery.settle()
    assert wire.commits == [5, 5]


def test_refused_record_is_fatal_even_where_later_ones_were_taken() -> None:
    """Its offset is never committed: after a restart it is answered."""
    wire = Wire()
    delivery = wire.delivery()
    for _ in range(2):
        delivery.send("predictions.s", b"")
    delivery.end_poll({PLACE: 10})
    wire.sent[0].error = KafkaTimeoutError("too late")
    for sent in wire.sent:
        sent.is_done = True
    wire.now = COMMIT_SECONDS
    with pytest.raises(StackError, match="too late"):
        delivery.settle()
    assert wire.commits == []


def test_polls_on_their_way_are_bounded() -> None:
    """One more than the bound waits for the oldest."""
    delivery = Wire().delivery()
    for offset in range(MAX_IN_FLIGHT):
        delivery.send("predictions.s", b"")
        delivery.end_poll({PLACE: offset})
    delivery.send("predictions.s", b"")
    with pytest.raises(StackError, match="still on its way"):
        delivery.end_poll({PLACE: MAX_IN_FLIGHT})


def test_cache_asks_once_for_each_distinct_key_until_it_expires() -> None:
    """Absent rows are remembered like others; the clock is in seconds."""
    asked: list[list[Key]] = []
    now = [0.0]

    def rows(view: BatchView, keys: Any) -> list[Row | None]:
        asked.append(list(keys))
        return [Row(1, (key[0],)) if key[0] else None for key in keys]

    cached = Cached(rows, seconds=10, size=100, clock=lambda: now[0])
    assert cached(VIEW, [(1,), (0,), (1,)]) == [Row(1, (1,)), None, Row(1, (1,))]
    assert cached(VIEW, [(0,), (2,), (1,)]) == [None, Row(1, (2,)), Row(1, (1,))]
    now[0] = 10.0
    cached(VIEW, [(1,), (2,)])
    assert asked == [[(1,), (0,)], [(2,)], [(1,), (2,)]]


def test_cache_keeps_what_was_asked_for_last() -> None:
    """Beyond its size, the row that was asked for the longest ago goes."""
    asked: list[Key] = []

    def rows(view: BatchView, keys: Any) -> list[Row | None]:
        asked.extend(keys)
        return [None for _ in keys]

    cached = Cached(rows, seconds=10, size=2, clock=lambda: 0.0)
    for key in (1, 2, 1, 3, 1, 2):
        cached(VIEW, [(key,)])
    assert asked == [(1,), (2,), (3,), (2,)]
