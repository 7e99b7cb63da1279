"""The panel of the flow: events a second, what is not read yet, and how long events take, hop by hop.

Counters are read while somebody looks, and what the page shows is the difference between two looks: of late, and over the last
minutes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from features.errors import StackError
from serving.http.page.panel import Empty, Panel
from serving.http.page.scrape import Growth, Metrics, read_metrics
from serving.http.page.sources import Sources
from serving.kafka.metrics import HOPS

KEPT = 300
"""Looks that are remembered, of two seconds each while somebody looks."""
LATE_SECONDS = 60.0
"""What is of late."""
SCORED = "headrace_scorer_events_total"
PORTS = "[scorer] metrics_port = 0, [stream] metrics_port = 0 and [monitor] metrics_port = 0"


class Point(msgspec.Struct, frozen=True):
    """Between two looks. ``at`` is UTC milliseconds."""

    at: int
    events_per_second: float
    p99_ms: float | None
    """From an event's arrival to its score: the two hops of ours together, each at its own p99."""


class Hop(msgspec.Struct, frozen=True):
    """One hop, of late; None where no event took it."""

    name: str
    events: int
    p50_ms: float | None
    p99_ms: float | None


class Flow(msgspec.Struct, frozen=True):
    """What the panel shows."""

    over_seconds: float
    """What is of late: so many seconds, fewer where nobody looked before."""
    events_per_second: float | None
    """Of all scorers; None until there are two looks."""
    scored: int
    """Predictions since the scorers were started."""
    lag: int | None
    """Feature vectors that no scorer has read."""
    stream_lag: dict[str, int]
    """By topic, events that the stream job had not read at its last checkpoint."""
    monitor_lag: int | None
    """Predictions that the monitor has not counted."""
    hops: list[Hop]
    points: list[Point]
    silent: list[str]
    """Which processes said nothing, and why."""


class _Look(NamedTuple):
    at: float
    """By the monotonic clock."""
    scored: float
    """Predictions since the first look."""
    hops: dict[str, dict[float, float]]
    """By hop and upper edge in seconds, how many events took at most so long, since the first look."""


class FlowPanel:
    """The panel, which remembers what it saw. One thread at a time calls it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: dict[str, deque[_Look]] = {}
        self._growth: dict[str, Growth] = {}

    def __call__(self, sources: Sources, service: str) -> Flow | Empty:
        """What the scorers, the stream job and the monitor of a service say now. Raises `StackError` where no scorer replies."""
        addresses = sources.metrics(service)
        if not any(name.startswith("scorer-") for name in addresses):
            return Empty(f"No scorer of {service} runs here.", "headrace up")
        if not any(address for name, address in addresses.items() if name.startswith("scorer-")):
            return Empty(f"The scorers of {service} tell no metrics: put {PORTS} in headrace.toml, and run", "headrace up")
        metrics, silent = read_all(addresses)
        looks = self._looks.setdefault(service, deque(maxlen=KEPT))
        looks.append(_look(metrics, service, self._growth.setdefault(service, Growth()), self._clock()))
        return _flow(metrics, service, tuple(looks), silent)


def read_all(addresses: Mapping[str, str | None]) -> tuple[Metrics, list[str]]:
    """What the processes say, and which say nothing and why. Raises `StackError` where no scorer does."""
    metrics, silent, failed = Metrics(), [], []
    for name, address in addresses.items():
        if address is None:
            continue
        try:
            metrics.add(name, read_metrics(address))
        except StackError as error:
            silent.append(f"{name}: {error}")
            failed.append(name)
    scorers = [name for name, address in addresses.items() if address and name.startswith("scorer-")]
    if set(scorers) <= set(failed):
        raise StackError("; ".join(silent))
    return metrics, silent


def _look(metrics: Metrics, service: str, growth: Growth, at: float) -> _Look:
    for labels, value in metrics.all(SCORED, service=service, what="scored"):
        growth.add(labels["process"], SCORED, value)
    hops: dict[str, dict[float, float]] = {hop: {} for hop in HOPS}
    for labels, value in metrics.all("headrace_scorer_hop_seconds_bucket", service=service):
        edge, name = float(labels["le"]), labels["hop"]
        growth.add(labels["process"], (name, edge), value)
        hops.setdefault(name, {})[edge] = growth.of((name, edge))
    return _Look(at, growth.of(SCORED), hops)


def _flow(metrics: Metrics, service: str, looks: Sequence[_Look], silent: list[str]) -> Flow:
    now = looks[-1]
    then = next((one for one in looks if now.at - one.at <= LATE_SECONDS), now)
    over = now.at - then.at
    stream_lag: dict[str, int] = {}
    for labels, value in metrics.all("headrace_stream_lag"):
        stream_lag[labels["topic"]] = stream_lag.get(labels["topic"], 0) + int(value)
    lag, monitor_lag = (metrics.sum(f"headrace_{what}_lag", service=service) for what in ("scorer", "monitor"))
    wall = round(time.time() * 1000)
    return Flow(
        over_seconds=over,
        events_per_second=(now.scored - then.scored) / over if over else None,
        scored=int(metrics.sum(SCORED, service=service, what="scored") or 0),
        lag=None if lag is None else int(lag),
        stream_lag=stream_lag,
        monitor_lag=None if monitor_lag is None else int(monitor_lag),
        hops=[_hop(name, _between(then, now, name)) for name in HOPS],
        points=[_point(a, b, wall - round((now.at - b.at) * 1000)) for a, b in pairwise(looks) if b.at > a.at],
        silent=silent,
    )


def _point(before: _Look, after: _Look, at: int) -> Point:
    parts = [quantile(_between(before, after, name), 0.99) for name in HOPS[1:]]
    p99 = None if None in parts else sum(part for part in parts if part is not None) * 1000
    return Point(at, (after.scored - before.scored) / (after.at - before.at), p99)


def _hop(name: str, counts: dict[float, float]) -> Hop:
    p50, p99 = (quantile(counts, part) for part in (0.5, 0.99))
    events = int(max(counts.values(), default=0))
    return Hop(name, events, None if p50 is None else p50 * 1000, None if p99 is None else p99 * 1000)


def _between(before: _Look, after: _Look, name: str) -> dict[float, float]:
    """The events of a hop between two looks, by upper edge."""
    old = before.hops.get(name, {})
    return {edge: count - old.get(edge, 0.0) for edge, count in after.hops.get(name, {}).items()}


def quantile(counts: dict[float, float], part: float) -> float | None:
    """Which value a part of all events is at most, of counts by upper edge that add up, interpolated within its bucket.

    As Prometheus's histogram_quantile: beyond the last edge it is that edge; None where there are no events.

    >>> quantile({1.0: 5.0, 2.0: 10.0, float("inf"): 10.0}, 0.75)
    1.5
    """
    edges = sorted(counts)
    total = counts[edges[-1]] if edges else 0.0
    if total <= 0:
        return None
    low = below = 0.0
    for edge in edges:
        if counts[edge] >= part * total:
            if edge == float("inf"):
                return low
            return low + (edge - low) * (part * total - below) / (counts[edge] - below)
        low, below = edge, counts[edge]
    return low


def flow_panel() -> Panel:
    """One that has seen nothing yet."""
    return Panel("flow", "what the scorers tell Prometheus", FlowPanel(), 1.5)
