"""A scorer's metrics in tests of the page: real ones, of no scorer, at an address of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import values

from features.exposition import exposed
from serving.kafka.metrics import ScorerMetrics, ServiceMetrics


@contextmanager
def telling(lag: int = 0) -> Iterator[tuple[str, ServiceMetrics]]:
    """Where it tells them, and what it tells with.

    Feast, wherever it was imported before, has prometheus_client keep its values in files that all registries of a process share.
    """
    lineup: Any = SimpleNamespace(lanes=())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "ValueClass", values.MutexValue)
        metrics = ScorerMetrics()
        told = metrics.of("orders", lambda: lineup, lambda: {0: lag})
    with exposed(metrics.registry, 0) as address:
        yield address, told


def score(told: ServiceMetrics, events: int, hops: tuple[int, int, int]) -> None:
    """One poll of so many events, each of which took so many milliseconds for each hop."""
    now = round(time.time() * 1000)
    featured = now - hops[2]
    arrived = featured - hops[1]
    told.polled(scored=events, repeats=0, letters=(), skipped=0, seconds=0.01)
    told.times([arrived - hops[0]] * events, [arrived] * events, [featured] * events, now)
