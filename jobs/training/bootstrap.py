"""How sure a measured number is, or the difference of two: a bootstrap that draws whole keys or days, never single rows.

Rows of one key resemble each other, and so do rows of one day: an interval from a draw of single rows is too narrow. Here a draw
takes whole blocks, with replacement, so that a row's weight is how often its block was drawn (Davison and Hinkley 1997, section
3.8; Field and Welsh 2007). Where rows have blocks of two kinds, say a key and a day, each kind is drawn by itself and a row's
weights are multiplied: Owen's pigeonhole bootstrap (2007), which errs on the wide side. Two things that are measured on the same
draw are compared as a pair: what makes the draw easy or hard is in both, and drops out of their difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from features.errors import SettingError

Doubles = npt.NDArray[np.float64]
Statistic = Callable[[Doubles], Doubles]
"""From the weights of the rows, [n], whole numbers from 0, to the numbers whose intervals are wanted, [m]; NaN where a draw has
none, as the AUC of rows of one class."""
RESAMPLES = 1000
LEVEL = 0.95
LEAST_DRAWS = 0.95
"""Which share of the draws has to give a number for an interval to be told: one from fewer is of odd draws."""


class Interval(msgspec.Struct, frozen=True):
    """A number and how sure it is."""

    value: float
    """Of the rows as they are."""
    low: float
    high: float
    """Of the confidence interval; both NaN where there are fewer than two blocks, or where too many draws gave no number."""
    blocks: int
    """How many were drawn from; of two kinds the fewer."""

    @property
    def is_known(self) -> bool:
        """Whether there is an interval."""
        return not np.isnan(self.low)

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies outside, which it never does where there is no interval.

        >>> Interval(0.3, 0.1, 0.5, 40).excludes(0.0), Interval(0.3, float("nan"), float("nan"), 1).excludes(0.0)
        (True, False)
        """
        return value < self.low or value > self.high


def bootstrap(
    statistic: Statistic,
    kinds: Sequence[npt.NDArray[Any]],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
    on_draw: Callable[[int, int], None] | None = None,
) -> list[Interval]:
    """The intervals of all numbers that ``statistic`` gives, from the same draws.

    ``kinds`` has, for each kind of block, the block of each row, [n]: ``[keys]``, ``[days]`` or ``[keys, days]``. An interval
    is the percentile interval, widened for few blocks (`widened`), where `LEAST_DRAWS` of them give a number; of so few that
    no percentile is far enough out (`are_few`), t's interval by the deviation of the draws. Equal arguments give equal
    intervals. Raises `SettingError` where there are no rows, or kinds of another length.
    """
    numbered = [np.unique(blocks, return_inverse=True)[1] for blocks in kinds]
    lengths = {len(blocks) for blocks in numbered}
    if len(lengths) != 1 or lengths == {0}:
        raise SettingError(
            f"a bootstrap draws blocks of rows, and each row has one of each kind; got {sorted(lengths)} rows; give an array for "
            "each kind, all of one length"
        )
    counts = [int(blocks.max()) + 1 for blocks in numbered]
    whole = np.atleast_1d(statistic(np.ones(lengths.pop())))
    random = np.random.default_rng(seed)
    draws = np.empty((resamples, len(whole)))
    for draw in range(resamples):
        weights = [_times_drawn(random, count)[blocks] for blocks, count in zip(numbered, counts, strict=True)]
        draws[draw] = statistic(np.prod(weights, axis=0))
        if on_draw:
            on_draw(draw + 1, resamples)
    return [_interval(value, found, min(counts), level) for value, found in zip(whole, draws.T, strict=True)]


def paired(one: Callable[[Doubles], float], other: Callable[[Doubles], float]) -> Statistic:
    """What ``one`` gives, what ``other`` does, and by how much that is more, on the same rows: a pair, for `bootstrap`."""

    def measured(weights: Doubles) -> Doubles:
        first, second = one(weights), other(weights)
        return np.array([first, second, second - first])

    return measured


def widened(level: float, blocks: int) -> float:
    """The level whose percentile interval holds the truth as often as ``level`` says, of so few blocks.

    A bootstrap's percentile interval of n blocks is too narrow by √((n-1)/n), and by what t's quantiles lie beyond the normal's:
    Hesterberg's expanded percentile interval (2015, "What teachers should know about the bootstrap").

    >>> round(widened(0.95, 7), 4), round(widened(0.95, 10_000), 4)
    (0.9918, 0.95)
    """
    return float(2 * norm.cdf(_reach(level, blocks)) - 1)


def are_few(level: float, blocks: int) -> bool:
    """Whether no percentile interval of so few blocks holds the truth as often as ``level`` says.

    Draws lie between the least and the largest block, and all n of them are on one side of the truth 1 time in 2^(n-1): of 3
    blocks, 1 in 4.

    >>> [are_few(0.95, blocks) for blocks in (3, 5, 6)]
    [True, True, False]
    """
    return bool(2.0 ** (1 - blocks) > 1 - level)


def _reach(level: float, blocks: int) -> float:
    """How many deviations of the draws an interval goes to each side."""
    return float(np.sqrt(blocks / (blocks - 1)) * t.ppf((1 + level) / 2, blocks - 1))


def _times_drawn(random: np.random.Generator, count: int) -> Doubles:
    """How often each of ``count`` blocks is drawn, where as many are drawn with replacement."""
    return np.bincount(random.integers(count, size=count), minlength=count).astype(np.float64)


def _interval(value: float, draws: Doubles, blocks: int, level: float) -> Interval:
    known = draws[np.isfinite(draws)]
    if blocks < 2 or len(known) < LEAST_DRAWS * len(draws):
        return Interval(float(value), float("nan"), float("nan"), blocks)
    if are_few(level, blocks):
        reach = _reach(level, blocks) * float(known.std())
        return Interval(float(value), float(value) - reach, float(value) + reach, blocks)
    outside = (1 - widened(level, blocks)) / 2
    low, high = np.quantile(known, (outside, 1 - outside))
    return Interval(float(value), float(low), float(high), blocks)
