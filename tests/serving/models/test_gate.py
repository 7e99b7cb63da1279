"""The gate: what holds, what falls short, and by which measure."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from serving.models.gate import GateConfig, Metric, Numbers, Traffic, difference, judge, population_stability, rank_correlation

pytestmark = pytest.mark.core

CONFIG = GateConfig(min_events=1000, min_agreement=0.8, max_psi=0.25, max_latency_ms=50, max_error_share=0.001)
EVENTS = 2000


def correlation(labels: Numbers, scores: Numbers) -> float:
    """The metric of these tests: quick, and the higher the better."""
    return 0.0 if scores.std() == 0 else float(np.corrcoef(labels, scores)[0, 1])


METRIC = Metric("correlation", correlation, higher_is_better=True)


def traffic(**changed: object) -> Traffic:
    """Two versions that agree, on events of 400 entities of which a tenth are positive; ``changed`` overrides."""
    random = np.random.default_rng(0)
    labels = (random.random(EVENTS) < 0.1).astype(float)
    scores = labels + random.normal(size=EVENTS)
    given = {
        "production": scores,
        "candidate": scores + 0.01 * random.normal(size=EVENTS),
        "production_ms": np.full(EVENTS, 5.0),
        "candidate_ms": np.full(EVENTS, 6.0),
        "labels": labels,
        "keys": random.integers(400, size=EVENTS),
        "errors": 0,
    }
    return Traffic(**{**given, **changed})  # type: ignore[arg-type]


def short(given: Traffic, metric: Metric | None = METRIC) -> list[str]:
    """The names of the checks that fall short."""
    return [check.name for check in judge(given, CONFIG, metric) if not check.passed]


def test_a_version_that_agrees_passes() -> None:
    """Every check is made, and none falls short."""
    checks = judge(traffic(), CONFIG, METRIC)
    assert [check.name for check in checks] == [
        "events scored by both",
        "events without a score",
        "agreement with production",
        "distribution of scores",
        "p99 from features to score",
        "correlation",
    ]
    assert all(check.passed for check in checks)


def test_each_fault_falls_short_of_its_own_check() -> None:
    """Noise, a shift, slowness, errors and worse scores are told apart."""
    random = np.random.default_rng(1)
    fine = traffic()
    assert short(traffic(candidate=fine.production + 2)) == ["distribution of scores"]
    assert short(traffic(candidate_ms=np.full(EVENTS, 60.0))) == ["p99 from features to score"]
    assert short(traffic(errors=50)) == ["events without a score"]
    assert short(traffic(candidate=random.permutation(fine.production))) == ["agreement with production", "correlation"]
    assert short(traffic(candidate=np.full(EVENTS, 0.5))) == [
        "agreement with production",
        "distribution of scores",
        "correlation",
    ]


def test_too_little_traffic_falls_short() -> None:
    """A version that was not tried is not promoted, and without any event nothing else is said of it."""
    few = traffic()
    assert short(Traffic(*(values[:10] for values in few[:6]), errors=0)) == ["events scored by both"]  # type: ignore[arg-type]
    none = Traffic(*(values[:0] for values in few[:6]), errors=0)  # type: ignore[arg-type]
    assert [check.name for check in judge(none, CONFIG, METRIC)] == ["events scored by both", "events without a score"]


def test_labels_that_have_not_arrived_stop_nothing() -> None:
    """Without labels, or without a metric, that line says so and passes."""
    waiting = judge(traffic(labels=np.full(EVENTS, np.nan)), CONFIG, METRIC)[-1]
    assert (waiting.passed, waiting.found) == (True, "not measured: 0 labels have arrived")
    assert judge(traffic(), CONFIG, None)[-1].passed


def test_a_slightly_worse_metric_is_within_the_interval() -> None:
    """What noise explains is no reason to stop a version; what it does not is one, for errors too, where lower is better."""
    given = traffic()
    found, low, high = difference(given, METRIC)
    assert low <= found <= high
    error = Metric("mean absolute error", lambda labels, scores: float(np.abs(labels - scores).mean()), higher_is_better=False)
    assert short(traffic(candidate=given.production * 3), error)[-1] == "mean absolute error"
    assert "mean absolute error" not in short(traffic(candidate=given.labels), error)


def test_entities_are_drawn_whole() -> None:
    """Events of one entity are no independent evidence: where there are few entities the interval is wide."""
    given = traffic(candidate=traffic().production + np.random.default_rng(2).normal(size=EVENTS))
    entities = np.random.default_rng(3).normal(size=8)[np.arange(EVENTS) % 8]
    alike = given._replace(keys=np.arange(EVENTS) % 8, candidate=given.production + entities * given.labels)
    apart = alike._replace(keys=np.arange(EVENTS))
    (_, low, high), (_, lower, higher) = difference(apart, METRIC), difference(alike, METRIC)
    assert higher - lower > 1.5 * (high - low)


def test_rank_correlation_is_spearmans() -> None:
    """Ties have their mean rank, as SciPy has it."""
    random = np.random.default_rng(4)
    one, other = random.integers(20, size=500).astype(float), random.normal(size=500)
    assert rank_correlation(one, other + one) == pytest.approx(spearmanr(one, other + one).statistic)
    assert rank_correlation(np.ones(3), np.ones(3)) == 1.0
    assert rank_correlation(np.ones(3), np.arange(3.0)) == 0.0


def test_stability_of_the_same_scores_in_another_order_is_zero() -> None:
    """It looks at the distribution alone; a score that takes few values is one bin each."""
    scores = np.random.default_rng(5).normal(size=1000)
    assert population_stability(scores, scores[::-1]) == 0.0
    assert population_stability(np.ones(100), np.ones(100)) == 0.0
    assert population_stability(np.repeat([0.0, 1.0], 50), np.repeat([0.0, 1.0], [90, 10])) > 0.25
