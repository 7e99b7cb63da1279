"""kafka-python's clients for a scorer: a consumer that one thread polls all the time, a producer that sends a poll at once.

`loop` says what they cost otherwise. With a version of kafka-python that it was not read for, they are kafka-python's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kafka.net.compat import KafkaNetClient

from schemas.kafka.consumer import KafkaConsumer
from serving.kafka.loop import FITS, CallersLoop, Loop

LOOK_SECONDS = 0.02
"""So often a poll looks after group, coordinator and positions. Between two looks it takes what the fetches gave."""
IDLE_SECONDS = 1.0
"""So often a producer's thread looks for what has timed out."""


class PollingClient(KafkaNetClient):  # type: ignore[misc]
    """What a consumer that one thread polls is given as its ``kafka_client``."""

    def __init__(self, **config: Any) -> None:
        super().__init__(net=CallersLoop(**config) if FITS else None, **config)


class PollingConsumer(KafkaConsumer):  # type: ignore[misc]
    """A consumer that one thread polls, more often than its group has news."""

    def __init__(self, *topics: str, **config: Any) -> None:
        self._next_look = 0.0
        super().__init__(*topics, kafka_client=PollingClient, **config)

    def _poll_once(self, timer: Any, max_records: int, update_offsets: bool = True) -> Any:
        left = self._next_look - time.monotonic() if FITS else 0.0
        if left > 0:
            wait = min(left * 1000, timer.timeout_ms)
            records, _ = self._fetcher.fetch_records(max_records, update_offsets=update_offsets, timeout_ms=wait)
            if records:
                return records
        records = super()._poll_once(timer, max_records, update_offsets)
        self._next_look = time.monotonic() + LOOK_SECONDS if records else 0.0
        return records


class SendingClient(KafkaNetClient):  # type: ignore[misc]
    """What a producer is given as its ``kafka_client``; then `attend` to it."""

    def __init__(self, **config: Any) -> None:
        super().__init__(net=Loop(**config) if FITS else None, **config)
        self.is_idle: Callable[[], bool] | None = None
        """Whether the producer's thread has nothing to do until it is woken or gets a reply; None: it looks."""

    def poll(self, timeout_ms: float | None = None, future: Any = None) -> None:
        """Run the loop until there may be something for the producer's thread to do."""
        if not FITS:
            super().poll(timeout_ms=timeout_ms, future=future)
            return
        net, until = self._net, time.monotonic() + IDLE_SECONDS
        net.was_woken = False
        net.poll(timeout_ms=timeout_ms, future=future)
        if future is None and self.is_idle is not None:
            while not net.was_woken and self.is_idle() and time.monotonic() < until:
                net.poll(timeout_ms=IDLE_SECONDS * 1000)


def attend(producer: Any) -> None:
    """Let the thread of a producer with a `SendingClient` rest while it has nothing to do: it looks after each turn otherwise."""
    if not FITS:
        return
    batches, state = producer._accumulator, producer._transaction_manager

    def is_idle() -> bool:
        return not batches.has_undrained() and (state is None or (state.has_producer_id() and not state.is_bumping_epoch()))

    producer._sender._client.is_idle = is_idle
