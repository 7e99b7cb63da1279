"""What Prometheus is told of the scorers of a process.

A poll costs some microseconds for it, however many events it has: times are kept as they are, and counted into buckets with numpy
once there are thousands of them, or somebody looks. Lag is read when somebody looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any

import numpy as np
from kafka import TopicPartition
from kafka.errors import IllegalStateError
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from features.exposition import exposed
from schemas import DeadLetter
from serving.predict.lineup import Lineup
from serving.predict.metrics import model_info

ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
HOP_MS = (1, 2, 3, 5, 7.5, 10, 15, 25, 50, 100, 250, 500, 1000, 5000, 60_000, 3_600_000)
HOPS = ("event_time_to_arrived", "arrived_to_featured", "featured_to_scored")
"""The event's own time, Kafka's timestamps of its record and of its feature vector's, and the score's: as receipts have them."""
HELD = 4096
"""Events whose times are kept before they are counted."""


class ScorerMetrics:
    """Those of all services of a process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.address: str | None = None
        """Where they can be read."""
        self.events = Counter(
            "headrace_scorer_events",
            "Feature vectors by what became of them: scored, or a repeat, which is also one of another plan or turn; skipped are "
            "those that shadows left out.",
            ("service", "what"),
            registry=registry,
        )
        self.letters = Counter(
            "headrace_scorer_dead_letters", "Feature vectors without a prediction.", ("service", "reason"), registry=registry
        )
        self.rows = Histogram(
            "headrace_scorer_batch_rows", "Feature vectors of one poll.", ("service",), buckets=ROWS, registry=registry
        )
        self.seconds = Histogram(
            "headrace_scorer_batch_seconds",
            "From a poll's feature vectors to its predictions on their way.",
            ("service",),
            buckets=SECONDS,
            registry=registry,
        )
        self._services: dict[str, ServiceMetrics] = {}
        registry.register(_Seen(self._services))

    def of(self, service: str, lineup: Callable[[], Lineup], lag: Callable[[], Mapping[int, int]]) -> ServiceMetrics:
        """Those of one service's scorer. ``lineup`` is what serves, ``lag`` how many vectors of each partition are not read.

        Both are called on another thread. A scorer that joins anew goes on with what it told before.
        """
        made = self._services.get(service) or ServiceMetrics(self, service)
        made.lineup, made.lag = lineup, lag
        self._services[service] = made
        return made


class ServiceMetrics:
    """What one scorer tells after each poll."""

    lineup: Callable[[], Lineup]
    lag: Callable[[], Mapping[int, int]]

    def __init__(self, metrics: ScorerMetrics, service: str) -> None:
        self._scored, self._repeats, self._skipped = (
            metrics.events.labels(service, what) for what in ("scored", "repeat", "skipped")
        )
        self._service, self._letters = service, metrics.letters
        self._rows, self._seconds = metrics.rows.labels(service), metrics.seconds.labels(service)
        self._held: list[tuple[Sequence[int], Sequence[int], Sequence[int], int]] = []
        self._held_rows = 0
        self._lock = threading.Lock()
        self._counts = np.zeros((len(HOPS), len(HOP_MS) + 1), np.int64)
        self._sums = np.zeros(len(HOPS))

    def polled(self, *, scored: int, repeats: int, letters: Sequence[DeadLetter], skipped: int, seconds: float) -> None:
        """One poll's batch."""
        self._scored.inc(scored)
        if repeats:
            self._repeats.inc(repeats)
        if skipped:
            self._skipped.inc(skipped)
        for letter in letters:
            self._letters.labels(self._service, letter.reason).inc()
        self._rows.observe(scored + repeats + len(letters))
        self._seconds.observe(seconds)

    def times(self, event: Sequence[int], arrived: Sequence[int], featured: Sequence[int], scored: int) -> None:
        """The times of a poll's events at each step, in UTC milliseconds."""
        self._held.append((event, arrived, featured, scored))
        self._held_rows += len(event)
        if self._held_rows >= HELD:
            self.counted()

    def counted(self) -> Iterator[tuple[str, list[int], float]]:
        """Of each hop, how many events took at most so long as each of `HOP_MS`, or longer, and the sum in seconds."""
        with self._lock:
            held, self._held, self._held_rows = self._held, [], 0
            if held:
                event, arrived, featured = (
                    np.fromiter(chain.from_iterable(part), np.int64) for part in list(zip(*held, strict=True))[:3]
                )
                scored = np.repeat([one[3] for one in held], [len(one[0]) for one in held])
                for hop, took in enumerate((arrived - event, featured - arrived, scored - featured)):
                    at_least = np.maximum(took, 0)
                    self._counts[hop] += np.bincount(np.searchsorted(HOP_MS, at_least), minlength=len(HOP_MS) + 1)
                    self._sums[hop] += at_least.sum() / 1000
            return iter([(name, np.cumsum(self._counts[hop]).tolist(), float(self._sums[hop])) for hop, name in enumerate(HOPS)])


class _Seen(Collector):
    """What is read when somebody looks."""

    def __init__(self, services: Mapping[str, ServiceMetrics]) -> None:
        self._services = services

    def collect(self) -> Iterable[Any]:
        """Hops, lag, versions."""
        hops = HistogramMetricFamily("headrace_scorer_hop_seconds", "How long events took, by hop.", labels=("service", "hop"))
        lag = GaugeMetricFamily("headrace_scorer_lag", "Feature vectors that are not read.", labels=("service", "partition"))
        services = tuple(self._services.items())
        for service, one in services:
            for hop, counts, total in one.counted():
                edges = [*(str(ms / 1000) for ms in HOP_MS), "+Inf"]
                hops.add_metric((service, hop), list(zip(edges, counts, strict=True)), total)
            for partition, behind in one.lag().items():
                lag.add_metric((service, str(partition)), behind)
        return hops, lag, model_info((service, one.lineup()) for service, one in services)


@contextmanager
def metrics_at(port: int | None) -> Iterator[ScorerMetrics | None]:
    """Within, Prometheus can read them on the loopback's ``port``; None: there are none."""
    if port is None:
        yield None
        return
    metrics = ScorerMetrics()
    with exposed(metrics.registry, port) as metrics.address:
        yield metrics


def lag_of(consumer: Any, offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    """By partition that the consumer has, how many records there were beyond ``offsets`` when they were fetched last."""
    found = dict[int, int]()
    assigned = consumer.assignment()
    for place, offset in tuple(offsets.items()):
        with suppress(IllegalStateError):  # it was taken away since
            end = consumer.highwater(place) if place in assigned else None
            if end is not None:
                found[place.partition] = max(0, end - offset)
    return found
