"""A scorer's place in its consumer group: which partitions it has, and that it comes back from every rebalance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, TopicPartition
from kafka.errors import KafkaTimeoutError

from serving.kafka.lease import Lease

FLUSH_SECONDS = 5.0
"""For a rebalance, which has to be over before the session is."""
REJOIN_SECONDS = 15.0
"""How long a rebalance may take before the scorer joins anew; a healthy one takes as long as its slowest member's flush."""

log = structlog.get_logger()


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Subscribes ``consumer`` to ``topic``, and notes which partitions the group gives it.

    The consumer's loop calls the listener, on whichever thread runs it.
    """

    def __init__(
        self, consumer: Any, producer: Any, topic: str, lease: Lease, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._lease = lease
        self._topic = topic
        self._clock = clock
        self._assigned: frozenset[TopicPartition] | None = None
        self._began: float | None = None
        consumer.subscribe([topic], listener=self)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Wait until every prediction is written: the next owner reads them back. What is not written by then never is."""
        self._began = self._clock()
        if not self._lease.holds:
            self._lease.lose()
            return
        try:
            self._producer.flush(timeout=FLUSH_SECONDS)
        except KafkaTimeoutError:
            self._lease.lose()

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """They are another's by now."""
        self._began = self._clock()
        self._lease.lose()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """All partitions that are ours from now on."""
        self._began = None
        self._assigned = frozenset(assigned)
        if self._assigned:
            self._lease.renew(self._lease.clock())
        else:
            self._lease.free()

    def take(self) -> frozenset[TopicPartition] | None:
        """The new assignment, once; None where there is none."""
        assigned, self._assigned = self._assigned, None
        return assigned

    def keep(self) -> None:
        """Join anew where a rebalance has not come to its end.

        kafka-python 3.0.12 loses one: after a change of partitions it rejoins because two snapshots of them differ. Where a poll
        ends before the group's reply, the reply makes them equal, and no later poll takes the assignment from it. Without
        partitions and without a heartbeat, the consumer would then wait for ever.
        """
        if self._began is None or self._clock() - self._began < REJOIN_SECONDS:
            return
        log.warning("rejoin", topic=self._topic, seconds=round(self._clock() - self._began, 1))
        self._began = None
        self._consumer.unsubscribe()
        self._consumer.subscribe([self._topic], listener=self)
