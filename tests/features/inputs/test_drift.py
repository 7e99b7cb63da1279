"""Divergences, limits and discoveries, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.inputs.bins import number_bins
from features.inputs.drift import PROBABILITIES, Limit, critical, discoveries, jensen_shannon, p_value, psi

COUNTS = st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(any)
QUANTILES = st.lists(st.floats(0, 2), min_size=9, max_size=9).map(sorted).map(tuple)


@given(COUNTS, COUNTS)
def test_divergences_are_symmetric_and_zero_of_equal_shares(one: list[int], other: list[int]) -> None:
    """Both ways the same; 0 of a multiple; Jensen and Shannon's at most a bit."""
    assert psi(one, other) == pytest.approx(psi(other, one))
    assert psi(one, other) >= 0
    assert jensen_shannon(one, other) == pytest.approx(jensen_shannon(other, one), abs=1e-12)
    assert 0 <= jensen_shannon(one, other) <= 1 + 1e-12
    assert psi(one, [3 * count for count in one]) == pytest.approx(0, abs=1e-12)


def test_the_index_of_a_moved_mean_is_its_square() -> None:
    """Two normal distributions, half a deviation apart: 0.25, less what ten bins lose of it."""
    random = np.random.default_rng(0)
    trained = random.normal(10, 1, 200_000)
    bins = number_bins("n", trained)
    assert psi(bins.count(trained), bins.count(trained + 0.5)) == pytest.approx(0.25, rel=0.12)


@given(QUANTILES, st.floats(1e-9, 0.4), st.integers(1, 10**6))
def test_a_p_value_is_that_of_its_critical_value(quantiles: tuple[float, ...], p: float, rows: int) -> None:
    """One is the inverse of the other, within training's quantiles and beyond them."""
    limits = [Limit(100.0, quantiles), Limit(1000.0, tuple(q / 2 for q in quantiles))]
    at = critical(limits, rows, p)
    assert np.log(p_value(limits, rows, at)) == pytest.approx(np.log(p), rel=0.02, abs=0.02)
    assert p_value(limits, rows, at + 0.1) <= p_value(limits, rows, at) <= 1


def test_a_limit_is_as_often_passed_as_it_says() -> None:
    """At each quantile the probability of more; between two sizes of windows, between theirs; a larger one as the largest.

    Of a smaller window than any, the index is larger as its rows are fewer.
    """
    small, large = Limit(100.0, tuple(2 * np.arange(1.0, 10))), Limit(10_000.0, tuple(np.arange(1.0, 10)))
    for quantile, probability in zip(large.quantiles, PROBABILITIES, strict=True):
        assert p_value([small, large], 10_000, quantile) == pytest.approx(1 - probability, rel=1e-6)
        assert p_value([small, large], 10**7, quantile) == pytest.approx(1 - probability, rel=1e-6)
        assert p_value([small, large], 1000, 1.5 * quantile) == pytest.approx(1 - probability, rel=1e-6)
        assert p_value([small, large], 10, 10 * 2 * quantile) == pytest.approx(1 - probability, rel=1e-6)
    assert p_value([small, large], 100, 0.0) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.5))
def test_discoveries_are_those_of_the_definition(p_values: list[float], rate: float) -> None:
    """Benjamini & Hochberg's: all up to the largest k with p(k) ≤ k / m · rate."""
    ordered, tests = sorted(p_values), len(p_values)
    most = max((k for k in range(1, tests + 1) if ordered[k - 1] <= k / tests * rate), default=0)
    found, cut = discoveries(p_values, rate)
    assert sum(found) >= most
    assert all(is_found == (most > 0 and p <= max(ordered[most - 1], cut)) for p, is_found in zip(p_values, found, strict=True))
    assert cut == pytest.approx(max(1, most) / tests * rate)
    assert discoveries([], rate) == ([], rate)
