"""The gate before production: what live traffic says of a version that was tried beside the one in production.

Every check compares the two on the same events. A check that falls short says by how much; a check that cannot be made says why,
and stops nothing but for the number of events: without traffic there is nothing to go by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from features.inputs.drift import psi

Numbers = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int64]

BINS = 10


class GateConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a version has to hold to: the keys of ``[gate]``. Defaults, bounds and meanings are the settings'."""

    min_events: int
    min_agreement: float
    max_psi: float
    max_latency_ms: float
    max_error_share: float


class Traffic(NamedTuple):
    """Both versions on the same events, [n] each, in one order."""

    production: Numbers
    """Scores of the version in production."""
    candidate: Numbers
    """Scores of the version that is to be promoted."""
    production_ms: Numbers
    """From the feature vector's record to its score."""
    candidate_ms: Numbers
    labels: Numbers
    """NaN where none has arrived."""
    keys: Keys
    """Which entity an event is of, as any number: rows of one entity are drawn together."""
    errors: int
    """Events that the candidate gave no score since it is in its shadow, by what its scorers report."""
    scored: int
    """Those that it gave one, since then too: more than there are here, which are of the last minutes."""


class Difference(NamedTuple):
    """The candidate's metric less production's, and its 95 % interval: NaN where there is too little to draw from."""

    value: float
    low: float
    high: float


class Metric(NamedTuple):
    """How good scores are."""

    name: str
    difference: Callable[[Numbers, Numbers, Numbers, Keys], Difference]
    """Of labels, the scores of production and of the candidate, and entities, [n] each, of events whose label has arrived."""
    higher_is_better: bool


class Check(NamedTuple):
    """One line of the gate's table."""

    name: str
    found: str
    wanted: str
    passed: bool


def judge(traffic: Traffic, config: GateConfig, metric: Metric | None) -> list[Check]:
    """Every check of the gate, in the order in which a person reads them. ``metric``: None where none can be computed."""
    events = len(traffic.candidate)
    enough = Check("events scored by both", f"{events:,}", f"at least {config.min_events:,}", events >= config.min_events)
    share = traffic.errors / max(1, traffic.scored + traffic.errors)
    errors = Check(
        "events without a score", f"{share:.2%}", f"at most {config.max_error_share:.2%}", share <= config.max_error_share
    )
    if not events:
        return [enough, errors]
    return [
        enough,
        errors,
        _agreement(traffic, config),
        _distribution(traffic, config),
        _latency(traffic, config),
        _metric(traffic, metric),
    ]


def rank_correlation(one: Numbers, other: Numbers) -> float:
    """Spearman's ρ, ties at their mean rank; 1.0 where both are constant, 0.0 where one is.

    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 90.0]))
    1.0
    """
    a, b = _ranks(one), _ranks(other)
    if a.std() == 0 or b.std() == 0:
        return float(a.std() == b.std())
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))


def population_stability(expected: Numbers, found: Numbers) -> float:
    """The population stability index (`features.inputs.drift.psi`) of ``found`` against ``expected``, over the latter's deciles.

    >>> population_stability(np.arange(100.0), np.arange(100.0))
    0.0
    """
    edges = np.unique(np.quantile(expected, np.linspace(0, 1, BINS + 1)[1:-1]))
    return psi(_counted(expected, edges), _counted(found, edges))


def _agreement(traffic: Traffic, config: GateConfig) -> Check:
    found = rank_correlation(traffic.production, traffic.candidate)
    wanted = f"rank correlation at least {config.min_agreement:g}"
    return Check("agreement with production", f"{found:.3f}", wanted, found >= config.min_agreement)


def _distribution(traffic: Traffic, config: GateConfig) -> Check:
    found = population_stability(traffic.production, traffic.candidate)
    wanted = f"stability index at most {config.max_psi:g}"
    return Check("distribution of scores", f"{found:.3f}", wanted, found <= config.max_psi)


def _latency(traffic: Traffic, config: GateConfig) -> Check:
    ours, theirs = (float(np.percentile(values, 99)) for values in (traffic.candidate_ms, traffic.production_ms))
    wanted = f"at most {config.max_latency_ms:g} ms beyond production's {theirs:.0f} ms"
    return Check("p99 from features to score", f"{ours:.0f} ms", wanted, ours <= theirs + config.max_latency_ms)


def _metric(traffic: Traffic, metric: Metric | None) -> Check:
    if metric is None:
        return Check("metric", "not measured", "the service has no [train] section, or the extra 'train' is not installed", True)
    known = ~np.isnan(traffic.labels)
    labels, count = traffic.labels[known], int(known.sum())
    wanted = "not clearly worse: 0 within the interval of the difference, or better"
    if np.unique(labels).size < 2:
        return Check(metric.name, f"not measured: {count:,} labels have arrived", wanted, True)
    found, low, high = metric.difference(labels, traffic.production[known], traffic.candidate[known], traffic.keys[known])
    if np.isnan(low):
        return Check(metric.name, f"{found:+.4f}; too few labels for an interval", wanted, True)
    passed = high >= 0 if metric.higher_is_better else low <= 0
    return Check(metric.name, f"{found:+.4f} [{low:+.4f}, {high:+.4f}] on {count:,} labels", wanted, passed)


def _ranks(values: Numbers) -> Numbers:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Numbers = (ends - (counts - 1) / 2)[places]
    return ranks


def _counted(values: Numbers, edges: Numbers) -> npt.NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
