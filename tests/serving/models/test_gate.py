"""The gate: what holds, what falls short, and by which measure."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.stats import spearmanr

from infra.gate import difference
from serving.models.gate import GateConfig, Metric, Traffic, judge, population_stability, rank_correlation

CONFIG = GateConfig(min_events=1000, min_agreement=0.8, max_psi=0.25, max_latency_ms=50, max_error_share=0.001)
EVENTS = 2000


METRIC = Metric("average precision", partial(difference, "classification"), higher_is_better=True)
ERROR = Metric("mean absolute error", partial(difference, "regression"), higher_is_better=False)


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
        "scored": EVENTS,
    }
    return Traffic(**{**given, **changed})  # type: ignore[arg-type]


def short(given: Traffic, metric: Metric | None = METRIC) -> list[str]:
    """The names of the checks that fall short."""
    return [check.name for check in judge(given, CONFIG, metric) if not check.passed]


def apart(given: Traffic) -> tuple[float, float, float]:
    """The difference of average precision, and its interval."""
    return METRIC.difference(given.labels, given.production, given.candidate, given.keys)


def test_a_version_that_agrees_passes() -> None:
    """Every check is made, and none falls short."""
    checks = judge(traffic(), CONFIG, METRIC)
    assert [check.name for check in checks] == [
        "events scored by both",
        "events without a score",
        "agreement with production",
        "distribution of scores",
        "p99 from features to score",
        "average precision",
    ]
    assert all(check.passed for check in checks)


@pytest.mark.slow
def test_each_fault_falls_short_of_its_own_check() -> None:
    """Noise, a shift, slowness, errors and worse scores are told apart."""
    random = np.random.default_rng(1)
    fine = traffic()
    assert short(traffic(candidate=fine.production + 2)) == ["distribution of scores"]
    assert short(traffic(candidate_ms=np.full(EVENTS, 60.0))) == ["p99 from features to score"]
    assert short(traffic(errors=50)) == ["events without a score"]
    assert short(traffic(candidate=random.permutation(fine.production))) == ["agreement with production", "average precision"]
    assert short(traffic(candidate=np.full(EVENTS, 0.5))) == [
        "agreement with production",
        "distribution of scores",
        "average precision",
    ]


def test_too_little_traffic_falls_short() -> None:
    """A version that was not tried is not promoted, and without any event nothing else is said of it."""
    few = traffic()
    some = Traffic(*(values[:10] for values in few[:6]), errors=0, scored=10)  # type: ignore[arg-type]
    assert short(some) == ["events scored by both"]
    none = Traffic(*(values[:0] for values in few[:6]), errors=0, scored=0)  # type: ignore[arg-type]
    assert [check.name for check in judge(none, CONFIG, METRIC)] == ["events scored by both", "events without a score"]


def test_labels_that_have_not_arrived_stop_nothing() -> None:
    """Without labels, or without a metric, that line says so and passes."""
    waiting = judge(traffic(labels=np.full(EVENTS, np.nan)), CONFIG, METRIC)[-1]
    assert (waiting.passed, waiting.found) == (True, "not measured: 0 labels have arrived")
    assert judge(traffic(), CONFIG, None)[-1].passed


def test_events_without_a_score_are_a_share_of_all_that_the_version_had() -> None:
    """Both are of the time in its shadow: of what it failed at in a week, the events of the last hour are no whole."""
    errors = judge(traffic(errors=1_000, scored=2_000_000), CONFIG, METRIC)[1]
    assert (errors.found, errors.passed) == ("0.05%", True)


def test_a_slightly_worse_metric_is_within_the_interval() -> None:
    """What noise explains is no reason to stop a version; what it does not is one, for errors too, where lower is better."""
    given = traffic()
    found, low, high = apart(given)
    assert low <= found <= high
    assert short(traffic(candidate=given.production * 3), ERROR)[-1] == "mean absolute error"
    assert "mean absolute error" not in short(traffic(candidate=given.labels), ERROR)


def test_entities_are_drawn_whole() -> None:
    """Events of one entity are no independent evidence: where there are few entities the interval is wide."""
    given = traffic(candidate=traffic().production + np.random.default_rng(2).normal(size=EVENTS))
    entities = np.random.default_rng(3).normal(size=8)[np.arange(EVENTS) % 8]
    alike = given._replace(keys=np.arange(EVENTS) % 8, candidate=given.production + entities * given.labels)
    (_, low, high), (_, lower, higher) = apart(alike._replace(keys=np.arange(EVENTS))), apart(alike)
    assert higher - lower > 1.5 * (high - low)


def test_one_entity_says_nothing_of_others() -> None:
    """However many events it has, every draw of it is the same: an interval without width would stop what is worse by a hair."""
    given = traffic(candidate=traffic().production + 0.01, keys=np.zeros(EVENTS, np.int64))
    check = judge(given, CONFIG, ERROR)[-1]
    assert (check.name, check.passed) == ("mean absolute error", True)
    assert check.found.endswith("; too few labels for an interval")


def test_labels_that_most_draws_lack_give_no_interval() -> None:
    """Where one entity of 400 has all positives, a third of the draws has none: the others are odd draws."""
    given = traffic(candidate=-traffic().production)
    rare = given._replace(labels=(given.keys == 7).astype(float))
    assert judge(rare, CONFIG, METRIC)[-1].found.endswith("; too few labels for an interval")


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
