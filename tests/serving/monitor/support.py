"""A service that is watched, in tests: a version with one input, whose limits are known."""

from __future__ import annotations

import numpy as np

from features.inputs.bins import Bins, number_bins
from features.inputs.drift import PROBABILITIES, Limit
from features.inputs.reference import SCORE, Histogram, Reference
from features.times import DAY_MS
from infra.config import monitor_rules
from infra.monitor_settings import MonitorSettings
from serving.monitor.config import Rules
from serving.monitor.monitor import Monitor
from serving.monitor.state import State

INPUT = "shop__amount"
DAY = 20_000 * DAY_MS
TRAINED = np.random.default_rng(0).normal(10, 2, 5000)
ROWS = 600


def histogram(bins: Bins, values: np.ndarray) -> Histogram:
    """Limits as of independent rows, roughly: the index of a window of 600 rows is seldom above 0.05."""
    quantiles = tuple(float(0.02 - 0.01 * np.log(1 - p)) for p in PROBABILITIES)
    limit = (Limit(500.0, quantiles),)
    return Histogram(bins, tuple(bins.count(values).tolist()), {"day": limit, "hour": limit})


def reference() -> Reference:
    """Of training on `TRAINED`; the score is a tenth of the input."""
    inputs = histogram(number_bins(INPUT, TRAINED), TRAINED)
    scores = histogram(number_bins(SCORE, TRAINED / 10), TRAINED / 10)
    return Reference(DAY - 14 * DAY_MS, DAY - 7 * DAY_MS, DAY - 7 * DAY_MS, DAY, (inputs, scores))


def rules(**changes: object) -> Rules:
    """The settings' defaults, but for ``changes``; windows close as soon as they are over."""
    return monitor_rules(MonitorSettings(**{"wait_ms": 0, **changes}))  # type: ignore[arg-type]


def monitor(**changes: object) -> Monitor:
    """A monitor with a new state; version 1 has a reference, no other has."""
    made, of = rules(**changes), reference()
    state = State("shop", made.window)
    return Monitor(state, made, lambda model, version: of if version == 1 else None, clock=lambda: 7.0)


def values(seed: int, shift: float = 0.0, rows: int = ROWS) -> np.ndarray:
    """Values of one window, moved by so many deviations."""
    return np.random.default_rng(seed).normal(10 + 2 * shift, 2, rows)


def count(one: Monitor, day: int, found: np.ndarray, version: int = 1) -> None:
    """Count a day's predictions, the first of them at midnight."""
    times = DAY + day * DAY_MS + np.arange(len(found), dtype=np.int64)
    one.count("shop", version, times, {INPUT: found, SCORE: found / 10})
