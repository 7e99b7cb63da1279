"""How long a scorer's partitions are certainly its own: what was in hand when it was frozen is not sent when it wakes up.

A scorer that is stopped, swapped out or cut off for longer than its session loses its partitions to another, and does not know
of it when it goes on: a poll in hand, or records that wait in the producer, would be second predictions. So it has a lease, which
each commit that Kafka takes renews, from the moment when it was sent: Kafka keeps the member for a session from then on. The
producer looks at the lease as it hands a request to its connection, on its own thread. What is left are the microseconds from
there to the socket. To close those too takes a Kafka transaction for each poll; DESIGN.md says what that costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kafka.errors import KafkaError, RetriableError
from kafka.future import Future
from kafka.protocol.producer import ProduceRequest

from serving.kafka.clients import SendingClient

SHARE = 0.8
"""Of the session: the rest is for a request that is on its way when the lease ends."""


class LostError(Exception):
    """Another scorer may have this one's partitions: nothing of what is in hand may be sent."""


class LapsedError(RetriableError):  # type: ignore[misc]
    """The producer keeps the batch, and tries again."""


LAPSED = LapsedError("it is not known whether the partitions are still this scorer's")
REFUSED = KafkaError("the partitions are another scorer's")
"""The producer gives the batch up."""


def boot_clock() -> float:
    """Seconds, those included in which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lease:
    """Of one consumer and its producer. It holds without an end as long as there is no partition that another could have."""

    def __init__(self, session_ms: int, clock: Callable[[], float] = boot_clock) -> None:
        self._seconds = SHARE * session_ms / 1000
        self.clock = clock
        self._until: float | None = None
        self._lost = False

    @property
    def holds(self) -> bool:
        """Whether what is sent now is certainly ours to send."""
        return not self._lost and (self._until is None or self.clock() < self._until)

    @property
    def is_lost(self) -> bool:
        """Whether it will never hold again."""
        return self._lost

    def renew(self, since: float) -> None:
        """Kafka heard of the member at ``since``, on this clock, or later."""
        self._until = max(self._until or since, since + self._seconds)

    def free(self) -> None:
        """There is no partition."""
        self._until = None

    def lose(self) -> None:
        """The partitions may be another's, and records that were theirs are still here."""
        self._lost = True

    def client(self, **config: Any) -> SendingClient:
        """What a producer is given as its ``kafka_client``: it sends records while the lease holds."""
        return _Client(self, **config)


class _Client(SendingClient):
    def __init__(self, lease: Lease, **config: Any) -> None:
        super().__init__(**config)
        self._lease = lease

    def send(self, node_id: Any, request: Any, **options: Any) -> Any:
        if isinstance(request, ProduceRequest) and not self._lease.holds:
            return Future().failure(REFUSED if self._lease.is_lost else LAPSED)
        return super().send(node_id, request, **options)
