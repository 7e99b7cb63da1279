"""The reader of `bench latency`, which is in the process of the bench."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.latency import Track, _send_and_read


class Both:
    """A sender and a consumer in one: each poll gives an event, and notes whether the collector is on."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.was_on: list[bool] = []

    def send(self, topic: str, count: int, rate: float) -> None:
        """Nothing is sent."""

    def stamps(self) -> Any:
        """Of no interest here."""
        return np.empty((0, 2))

    def poll(self, timeout_ms: int) -> dict[str, list[Any]]:
        """One event after the other."""
        self.was_on.append(gc.isenabled())
        if self.fails:
            raise ConnectionError
        return {"partition": [SimpleNamespace(value=len(self.was_on))]}


def track(both: Both) -> Track:
    """From a sender to a consumer."""
    return Track(both, both, "source", {}, lambda value: SimpleNamespace(event_id=value))  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_reader_collects_no_garbage_while_it_reads() -> None:
    """A full collection of Feast's modules stops it for up to a second, which would count as the system's latency."""
    both = Both()
    _, arrived = _send_and_read(track(both), count=3, rate=1000)
    assert sorted(arrived) == [1, 2, 3]
    assert both.was_on == [False] * 3
    assert gc.isenabled()


@pytest.mark.slow
def test_the_collector_is_on_again_where_reading_fails() -> None:
    """Whatever comes after the bench in this process has its collector."""
    with pytest.raises(ConnectionError):
        _send_and_read(track(Both(fails=True)), count=1, rate=1000)
    assert gc.isenabled()
