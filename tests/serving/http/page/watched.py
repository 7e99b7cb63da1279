"""A monitor's state in tests: `orders` v1 with a number, a text and its scores, over days of which some have drifted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from features.inputs.bins import number_bins, text_bins
from features.inputs.reference import SCORE, Reference
from features.times import DAY_MS
from infra.config import monitor_state
from infra.models import references
from serving.models.admit import admit
from serving.models.manifest import Manifest
from serving.models.registry import Registry
from serving.monitor.monitor import Monitor
from serving.monitor.state import State, write_state
from tests.serving.monitor.support import histogram, rules
from tests.support.models import stumps
from tests.support.orders import PLAN

DAY = 20_000 * DAY_MS
"""2024-10-04, the first day of the stream."""
PRICE, KIND = "recent__sum_price", "recent__last_kind"
ROWS = 600
random = np.random.default_rng(7)
PRICES = random.normal(10, 2, 5000)
KINDS = random.choice(["book", "game", "toy"], 5000)


def reference() -> Reference:
    """Of training on `PRICES` and `KINDS`; the score is a twentieth of the price."""
    made = (
        histogram(number_bins(PRICE, PRICES), PRICES),
        histogram(text_bins(KIND, list(KINDS)), list(KINDS)),  # type: ignore[arg-type]
        histogram(number_bins(SCORE, PRICES / 20), PRICES / 20),
    )
    return Reference(DAY - 14 * DAY_MS, DAY - 7 * DAY_MS, DAY - 7 * DAY_MS, DAY, made)


def watched_model(registry: Registry) -> Manifest:
    """The next version of `orders`, with that reference, in production."""
    draft = admit(stumps([0.1, 0.2]), PLAN, name="orders", created_at=2, inputs=PLAN.inputs[:2], reference=reference())
    manifest = registry.register(draft)
    registry.set_alias("orders", "production", manifest.version)
    return manifest


def monitor_of(registry: Registry, service: str = "orders") -> Monitor:
    """One that has counted nothing."""
    made = rules()
    return Monitor(State(service, made.window), made, references(registry), clock=lambda: (DAY + 9 * DAY_MS) / 1000)


def count_day(monitor: Monitor, day: int, *, moved: float = 0.0, nulls: int = 0, new: int = 0, version: int = 1) -> None:
    """A day's predictions: prices moved by so many deviations, one in ``nulls`` null, one in ``new`` of a kind that is new."""
    draws = np.random.default_rng(day)
    prices = draws.normal(10 + 2 * moved, 2, ROWS)
    scores = np.clip(prices / 20, 0, 1)
    if nulls:
        prices[::nulls] = np.nan
    kinds = list(draws.choice(["book", "game", "toy"], ROWS))
    if new:
        kinds[::new] = ["drone"] * len(kinds[::new])
    times = DAY + day * DAY_MS + np.arange(ROWS, dtype=np.int64) * 1000
    monitor.count("orders", version, times, {PRICE: prices, KIND: kinds, SCORE: scores})


def drifted(registry: Registry, service: str = "orders") -> Monitor:
    """Five days of which the last two have drifted, and a sixth that is open."""
    monitor = monitor_of(registry, service)
    for day in range(3):
        count_day(monitor, day)
    for day in (3, 4):
        count_day(monitor, day, moved=1.0, nulls=4, new=3)
    monitor.advance(DAY + 5 * DAY_MS)
    count_day(monitor, 5, moved=1.0)
    return monitor


def saved(monitor: Monitor, folder: Path) -> Path:
    """The monitor's file, where the page's `sources` look for it."""
    file = monitor_state(folder / "monitor", monitor.state.service, "day")
    write_state(file, monitor.state)
    return file
