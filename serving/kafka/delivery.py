"""Predictions on their way: sent at once, many polls in flight, an offset committed only when all before it is acknowledged."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog
from kafka import OffsetAndMetadata, TopicPartition
from kafka.errors import FencedInstanceIdError, KafkaError

from features.errors import StackError
from serving.kafka.batches import Batches, Headers, Record
from serving.kafka.lease import Lease, LostError

MAX_IN_FLIGHT = 8
"""Polls that may be without acknowledgement; the next one waits for the oldest."""
COMMIT_SECONDS = 0.5
"""Between commits, of which there is one even where nothing is new: from its refusal a scorer learns that another took over.
(kafka-python 3.0.12 hears it from a heartbeat as well, and goes on polling.)"""
WAIT_SECONDS = 1.0
RETRY_SECONDS = 0.2
ACK_SECONDS = 150
"""Longer than the producer's own delivery timeout, after which it fails a record itself."""

log = structlog.get_logger()


class _Poll(NamedTuple):
    sent: list[Any]
    """The futures of its records."""
    offsets: dict[TopicPartition, int]
    """What is done with once they are acknowledged: the next offsets to read."""


class Delivery:
    """Sends the records of each poll, and commits the poll's offsets when the broker has them.

    A record that cannot be sent raises `StackError`: to go on would skip an event; after a restart it is predicted.
    """

    def __init__(
        self, producer: Any, predictions: Batches, consumer: Any, lease: Lease, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._producer = producer
        self._predictions = predictions
        self._consumer = consumer
        self._lease = lease
        self._clock = clock
        self._sent: list[Any] = []
        self._polls: deque[_Poll] = deque()
        self._done: dict[TopicPartition, int] = {}
        self._next_commit = clock() + COMMIT_SECONDS

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Go on with these partitions, from these offsets, once what is on its way has arrived."""
        self.drain()
        self._done = dict(offsets)

    def send(self, topic: str, value: bytes, key: bytes, headers: Headers) -> None:
        """Send one record of the poll in hand, on the partition of its key."""
        try:
            self._sent.append(self._producer.send(topic, value=value, key=key, headers=list(headers)))
        except KafkaError as error:
            raise _refused(error) from error

    def predict(self, predictions: Sequence[Record]) -> None:
        """Send the predictions of the poll in hand."""
        try:
            self._sent += self._predictions.send(predictions)
        except KafkaError as error:
            raise _refused(error) from error

    def end_poll(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Close the poll in hand: ``offsets`` are the next to read once its records are acknowledged."""
        self._polls.append(_Poll(self._sent, dict(offsets)))
        self._sent = []
        while len(self._polls) > MAX_IN_FLIGHT:
            self._wait_for_oldest()

    def settle(self) -> None:
        """Take note of what was acknowledged; commit, without waiting, when it is time to."""
        while self._polls and all(future.is_done for future in reversed(self._polls[0].sent)):
            self._wait_for_oldest()
        if self._done and self._clock() >= self._next_commit:
            self._next_commit = self._clock() + COMMIT_SECONDS
            self._consumer.commit_async(_commits(self._done), callback=partial(self._on_commit, self._lease.clock()))

    def check(self) -> None:
        """Return when the partitions are certainly ours: where it was long since Kafka heard of this scorer, commit.

        Raises `LostError` where another may have them by now.
        """
        deadline = self._clock() + ACK_SECONDS
        while not self._lease.holds:
            sent = self._lease.clock()
            try:
                if self._lease.is_lost:
                    raise LostError
                if not self._done:  # to commit nothing is no request, and so says nothing
                    self._lease.lose()
                    raise LostError
                self._consumer.commit(_commits(self._done))
                self._lease.renew(sent)
            except FencedInstanceIdError:
                raise
            except KafkaError as error:
                if not error.retriable or self._clock() > deadline:
                    self._lease.lose()
                    raise LostError from error
                log.warning("it is not known whether the partitions are still this scorer's", error=repr(error))
                time.sleep(RETRY_SECONDS)

    def drain(self) -> None:
        """Wait until every record is acknowledged."""
        while self._polls:
            self._wait_for_oldest()

    def commit(self) -> None:
        """Commit what is acknowledged, and wait for it. What cannot be committed is read again, and known as predicted."""
        try:
            self._consumer.commit(_commits(self._done))
        except KafkaError as error:
            log.warning("commit failed", error=repr(error))

    def _wait_for_oldest(self) -> None:
        poll = self._polls.popleft()
        for future in poll.sent:
            if not future.succeeded():
                self._wait(future)
        self._done.update(poll.offsets)

    def _wait(self, future: Any) -> None:
        """Until the record is acknowledged; in between see to the lease, without which it is not even sent."""
        deadline = self._clock() + ACK_SECONDS
        while True:
            self.check()
            try:
                future.get(timeout=WAIT_SECONDS)
                return
            except KafkaError as error:
                if future.is_done or self._clock() > deadline:
                    raise _refused(error) from error

    def _on_commit(self, sent: float, offsets: object, result: object) -> None:
        if isinstance(result, Exception):  # the next commit holds these offsets too
            log.warning("commit failed", error=repr(result))
        else:
            self._lease.renew(sent)


def _refused(error: KafkaError) -> StackError:
    return StackError(
        f"every prediction is written before its offset is committed; Kafka did not take one: {error!r}; "
        "fix the broker and start the scorer again: it goes on where it was"
    )


def _commits(offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, OffsetAndMetadata]:
    return {place: OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}
