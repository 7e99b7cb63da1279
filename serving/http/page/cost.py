"""The panel of cost: how many CPU seconds a prediction takes, of all processes that run here, and what a million of them cost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from serving.http.page.flow import PORTS, SCORED, read_all
from serving.http.page.panel import Empty, Panel
from serving.http.page.scrape import Growth
from serving.http.page.sources import Sources

KEPT_SECONDS = 3600.0
"""What is measured: the last hour, or as long as somebody has looked."""
LOOKS = 720
FEWEST = 1000
"""Predictions from which on there is a cost: with fewer, what the processes do while they wait is most of it."""
SECONDS_PER_HOUR = 3600.0
MILLION = 1_000_000


class Part(msgspec.Struct, frozen=True):
    """One process."""

    name: str
    cpu_seconds: float
    """Over the time that was measured."""


class Cost(msgspec.Struct, frozen=True):
    """What the panel shows: all services' predictions, and all processes that make them, those that wait included."""

    over_seconds: float
    predictions: int
    """Over that time."""
    parts: list[Part]
    core_hour: float | None
    currency: str
    core_seconds_a_million: float | None
    """CPU seconds of all processes for a million predictions; None: there are too few to say."""
    cost_a_million: float | None
    """The same, times the price; None also where there is no price."""
    fewest: int


class _Look(NamedTuple):
    at: float
    scored: float
    """Predictions since the first look."""
    cpu: Mapping[str, float]


class CostPanel:
    """The panel, which remembers what it saw. One thread at a time calls it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: deque[_Look] = deque(maxlen=LOOKS)
        self._growth = Growth()

    def __call__(self, sources: Sources, service: str) -> Cost | Empty:
        """The CPU that was used, and the predictions that were made, since the first look."""
        addresses = {name: place for one in sources.services for name, place in sources.metrics(one).items()}
        scorers = {name: place for name, place in addresses.items() if name.startswith("scorer-")}
        if not scorers:
            return Empty("Nothing runs here that predicts.", "headrace up")
        if not any(scorers.values()):
            return Empty(f"The scorers tell no metrics: put {PORTS} in headrace.toml, and run", "headrace up")
        metrics, _ = read_all(scorers)
        again = [
            self._growth.add(labels["process"], labels["service"], value) for labels, value in metrics.all(SCORED, what="scored")
        ]
        now = _Look(self._clock(), sum(map(self._growth.of, sources.services)), sources.cpu())
        if any(again):
            self._looks.clear()  # a scorer was started again: what it counted before is gone
        while self._looks and now.at - self._looks[0].at > KEPT_SECONDS:
            self._looks.popleft()
        self._looks.append(now)
        return _cost(self._looks[0], now, sources)


def _cost(then: _Look, now: _Look, sources: Sources) -> Cost:
    parts = [Part(name, used - _before(then.cpu.get(name, 0.0), used)) for name, used in now.cpu.items()]
    predictions = round(now.scored - then.scored)
    a_million = sum(part.cpu_seconds for part in parts) / predictions * MILLION if predictions >= FEWEST else None
    has_price = a_million is not None and sources.core_hour is not None
    return Cost(
        over_seconds=now.at - then.at,
        predictions=predictions,
        parts=sorted(parts, key=lambda part: -part.cpu_seconds),
        core_hour=sources.core_hour,
        currency=sources.currency,
        core_seconds_a_million=a_million,
        cost_a_million=(a_million or 0.0) / SECONDS_PER_HOUR * (sources.core_hour or 0.0) if has_price else None,
        fewest=FEWEST,
    )


def _before(then: float, now: float) -> float:
    """A process that was started again has used nothing before."""
    return then if then <= now else 0.0


def cost_panel() -> Panel:
    """One that has seen nothing yet."""
    return Panel("cost", "what the scorers tell Prometheus", CostPanel(), 5)
