"""The intervals hold the truth as often as they say, on rows that resemble each other within a key and a day."""

from __future__ import annotations

import numpy as np
import pytest

from features.errors import SettingError
from jobs.training.bootstrap import Doubles, Interval, Statistic, bootstrap, paired
from jobs.training.weighted import mean_of as weighted_mean

pytestmark = pytest.mark.slow

KEYS, DAYS, TRIALS = 30, 10, 150


def mean_of(values: Doubles) -> Statistic:
    """The weighted mean, as a statistic."""
    return lambda weights: np.atleast_1d(np.dot(values, weights) / weights.sum())


def rows(seed: int, of_key: float, of_day: float) -> tuple[Doubles, Doubles, Doubles]:
    """Keys, days and values around 0 of KEYS · DAYS rows, with an effect of the key and of the day."""
    random = np.random.default_rng(seed)
    keys, days = (part.ravel() for part in np.meshgrid(np.arange(KEYS), np.arange(DAYS)))
    effects = of_key * random.normal(size=KEYS)[keys] + of_day * random.normal(size=DAYS)[days]
    return keys.astype(float), days.astype(float), effects + random.normal(size=KEYS * DAYS)


def coverage(of_key: float, of_day: float, kinds: tuple[str, ...]) -> float:
    """The share of the trials whose interval of the mean holds its true value, 0."""
    held = 0
    for trial in range(TRIALS):
        keys, days, values = rows(trial, of_key, of_day)
        blocks = {"key": keys, "day": days, "row": np.arange(len(values))}
        (found,) = bootstrap(mean_of(values), [blocks[kind] for kind in kinds], resamples=300, seed=trial)
        held += not found.excludes(0.0)
    return held / TRIALS


def test_intervals_from_keys_hold_the_truth_as_often_as_they_say() -> None:
    """95 of 100, within what 150 trials can tell; an interval from single rows of the same data holds it much less often."""
    assert 0.9 <= coverage(1.0, 0.0, ("key",)) <= 0.99
    assert coverage(1.0, 0.0, ("row",)) < 0.8


def test_intervals_from_few_days_hold_the_truth_as_often_as_they_say() -> None:
    """10 days are few: without widening the interval would be too narrow."""
    assert 0.9 <= coverage(0.0, 1.0, ("day",)) <= 0.99


@pytest.mark.parametrize("blocks", [2, 3, 4, 5])
def test_intervals_from_a_handful_of_blocks_hold_the_truth_as_often_as_they_say(blocks: int) -> None:
    """Percentiles of the draws of 3 blocks lie between the least and the largest: they would hold it 3 times in 4."""
    random, held = np.random.default_rng(7), 0
    for trial in range(TRIALS):
        (found,) = bootstrap(mean_of(random.normal(size=blocks)), [np.arange(blocks)], resamples=300, seed=trial)
        held += not found.excludes(0.0)
    assert held / TRIALS >= 0.91


def test_intervals_from_keys_and_days_hold_the_truth_where_both_matter() -> None:
    """Either kind alone is too narrow; both together err on the wide side, and not below."""
    assert coverage(1.0, 1.0, ("key", "day")) >= 0.93
    assert coverage(1.0, 1.0, ("key",)) < 0.85


def test_a_pair_is_surer_than_its_parts() -> None:
    """What makes a draw hard is in both of a pair: their difference has a narrower interval than either has."""
    keys, _, values = rows(1, 2.0, 0.0)
    better = values + 0.1 + 0.01 * np.random.default_rng(2).normal(size=len(values))
    (alone,) = bootstrap(mean_of(values), [keys], resamples=200)
    _, _, pair = bootstrap(paired(weighted_mean(values), weighted_mean(better)), [keys], resamples=200)
    assert pair.value == pytest.approx(0.1, abs=0.01)
    assert pair.high - pair.low < 0.05 * (alone.high - alone.low)
    assert pair.excludes(0.0)


def test_what_is_equal_differs_by_nothing() -> None:
    """The difference of a thing with itself is 0, with an interval of 0 to 0."""
    keys, _, values = rows(1, 1.0, 0.0)
    _, _, found = bootstrap(paired(weighted_mean(values), weighted_mean(values)), [keys], resamples=50)
    assert found == Interval(0.0, 0.0, 0.0, KEYS)


def test_equal_seeds_give_equal_intervals_and_several_numbers_share_the_draws() -> None:
    """An interval can be repeated, and each of several numbers has the one that it has alone."""
    keys, days, values = rows(3, 1.0, 0.0)
    both = bootstrap(lambda w: np.concatenate([mean_of(values)(w), mean_of(days)(w)]), [keys], resamples=50, seed=5)
    assert both[0] == bootstrap(mean_of(values), [keys], resamples=50, seed=5)[0]
    assert both[1] == bootstrap(mean_of(days), [keys], resamples=50, seed=5)[0]


def test_one_block_and_undefined_draws_have_no_interval() -> None:
    """Nothing is drawn from one block; a number that most draws lack has no interval either, and excludes nothing."""
    (found,) = bootstrap(mean_of(np.ones(5)), [np.zeros(5)], resamples=20)
    assert np.isnan([found.low, found.high]).all()
    assert not found.excludes(3.0)
    (seldom,) = bootstrap(lambda w: np.array([1.0 if (w == 1).all() else np.nan]), [np.arange(9)], resamples=50)
    assert seldom.value == 1.0
    assert np.isnan(seldom.low)


@pytest.mark.parametrize("kinds", [[], [np.empty(0)], [np.zeros(3), np.zeros(4)]])
def test_rows_without_blocks_are_refused(kinds: list[Doubles]) -> None:
    """One block of each kind for each row."""
    with pytest.raises(SettingError, match="a bootstrap draws blocks of rows"):
        bootstrap(mean_of(np.ones(3)), kinds)
