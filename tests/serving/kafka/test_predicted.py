"""The memory of predicted events, and the delivery that it makes safe; without a server."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.errors import CommitFailedError, KafkaError, KafkaTimeoutError

from features.errors import StackError
from serving.kafka.batches import Record
from serving.kafka.delivery import COMMIT_SECONDS, MAX_IN_FLIGHT, Delivery
from serving.kafka.lease import Lease, LostError
from serving.kafka.predicted import Predicted

PLACE = TopicPartition("features.s", 0)


@given(st.lists(st.integers(0, 20)), st.integers(1, 8))
def test_an_event_is_new_unless_among_the_last(events: list[int], window: int) -> None:
    """The last ``window`` new events are remembered, in the order in which they first came."""
    predicted, remembered = Predicted(window), list[int]()
    for event in events:
        new = event not in remembered
        if new:
            remembered = [*remembered, event][-window:]
        assert predicted.first_time(event) is new
    assert len(predicted) == len(remembered)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans())), st.integers(1, 4))
def test_an_event_that_is_forgotten_is_new(events: list[tuple[int, bool]], window: int) -> None:
    """It keeps its place among the last ``window``, and makes no other event new, nor itself once it has come again."""
    predicted, places = Predicted(window), list[int | None]()
    for event, is_forgotten in events:
        new = event not in places
        if new:
            places = [*places, event][-window:]
        assert predicted.first_time(event) is new
        if is_forgotten:
            predicted.forget(event)
            places = [None if one == event else one for one in places]
    assert len(predicted) == len([one for one in places if one is not None])


def test_an_id_is_a_number_or_a_text() -> None:
    """1 and "1" are two events."""
    predicted = Predicted(10)
    assert predicted.first_time(1)
    assert predicted.first_time("1")
    assert not predicted.first_time(1)


def test_long_ids_take_no_more_memory_than_short_ones() -> None:
    """What is kept of a text has a fixed size, and a full memory does not grow."""
    tracemalloc.start()
    predicted = Predicted(2000)
    for event in range(6000):
        assert predicted.first_time(f"{event}{'x' * 1000}")
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(predicted) == 2000
    assert used < 2000 * 200


class Sent:
    """A record on its way: what kafka-python's `send` gives."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.is_done = False
        self.error: Exception | None = None

    def succeeded(self) -> bool:
        """Whether the broker has it."""
        return self.is_done and self.error is None

    def get(self, timeout: float) -> None:
        """Wait; here nothing comes of waiting."""
        self._wire.now += timeout
        raise self.error or KafkaTimeoutError("still on its way")


class Wire:
    """A producer and consumer that write down what they are told."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.commits: list[int] = []
        self.refusal: KafkaError | None = None
        self.now = 0.0
        self.lease = Lease(10_000, lambda: self.now)

    def send(self, records: Sequence[Record]) -> list[Sent]:
        """Take the predictions of a poll."""
        sent = [Sent(self) for _ in records]
        self.sent += sent
        return sent

    def commit_async(self, offsets: dict[TopicPartition, Any], callback: Callable[..., None]) -> None:
        """Take a commit."""
        self.commits.append(offsets[PLACE].offset)

    def commit(self, offsets: dict[TopicPartition, Any]) -> None:
        """Take a commit, or refuse it."""
        if self.refusal is not None:
            raise self.refusal
        self.commits.append(offsets[PLACE].offset)

    def delivery(self) -> Delivery:
        """What is tested, on this."""
        return Delivery(self, self, self, self.lease, lambda: self.now)  # type: ignore[arg-type]


def test_offset_is_committed_when_all_before_it_is_acknowledged() -> None:
    """A poll whose records are acknowledged waits for the polls before it."""
    wire = Wire()
    delivery = wire.delivery()
    for offset in (10, 20):
        delivery.predict([Record(b"", b"", 0)])
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
    """Its offset is never committed: after a restart it is predicted."""
    wire = Wire()
    delivery = wire.delivery()
    delivery.predict([Record(b"", b"", 0)] * 2)
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
        delivery.predict([Record(b"", b"", 0)])
        delivery.end_poll({PLACE: offset})
    delivery.predict([Record(b"", b"", 0)])
    with pytest.raises(StackError, match="still on its way"):
        delivery.end_poll({PLACE: MAX_IN_FLIGHT})


def test_without_a_lease_kafka_is_asked_whose_the_partitions_are() -> None:
    """A commit that it takes renews the lease; where it refuses one, nothing more may be sent."""
    wire = Wire()
    delivery = wire.delivery()
    delivery.begin({PLACE: 5})
    wire.lease.renew(0.0)
    delivery.check()
    assert wire.commits == []
    wire.now = 9.0
    delivery.check()
    assert wire.commits == [5]
    assert wire.lease.holds
    wire.now, wire.refusal = 18.0, CommitFailedError()
    with pytest.raises(LostError):
        delivery.check()
    wire.refusal = None
    with pytest.raises(LostError):
        delivery.check()


def test_a_lease_that_ends_before_the_first_offset_is_known_is_lost() -> None:
    """A scorer that was frozen as it was given its partitions has nothing to commit, and so cannot know that they are its own."""
    wire = Wire()
    delivery = wire.delivery()
    wire.commit = lambda offsets: None  # type: ignore[method-assign]  # kafka-python's, of no offsets
    wire.lease.renew(0.0)
    wire.now = 9.0
    with pytest.raises(LostError):
        delivery.check()
    assert not wire.lease.holds
