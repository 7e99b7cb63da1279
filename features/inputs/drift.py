"""How far counters are from those of training, and whether by more than training's own rows are from each other.

The rows of a stream are not independent: windows overlap, and a key's rows have much in common. A test that takes them to be
finds drift nearly everywhere. So what is usual is learnt from the training rows themselves, whole keys and whole days at a time
(`jobs.training.reference`), and is kept as `Limit`; here a statistic is held against it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from features.inputs.bins import Counts

Numbers = npt.NDArray[np.float64]
LEAST_SHARE = 1e-4
"""What an empty cell counts as, so that its logarithm is finite."""
PROBABILITIES = (0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.998, 0.999)
"""Of the quantiles that a limit has."""
LEAST_P = 1e-12
"""Smaller probabilities are not told apart: they are far beyond what training can say."""
FLAT = 1e-9
"""Two quantiles are at least so far apart: of an input that never changes they are equal."""


class Limit(msgspec.Struct, frozen=True):
    """How far a window of training rows was from the other training rows, over many draws."""

    rows: float
    """How many rows the window had, in the mean."""
    quantiles: tuple[float, ...]
    """Of `psi`, at `PROBABILITIES`."""


def psi(trained: Sequence[int] | Counts, found: Sequence[int] | Counts) -> float:
    """The population stability index Σ (f - e) ln(f / e) over the cells' shares f and e, natural logarithm, 0 and more.

    It is the symmetrised divergence of Kullback & Leibler (1951), J; between two normal distributions of one deviation whose
    means are d deviations apart it is d². Below 0.1 is read as unchanged, above 0.25 as another distribution (Siddiqi 2006,
    chapter 9).

    >>> psi([50, 50], [5, 5]), round(psi([50, 50], [6, 4]), 4)
    (0.0, 0.0405)
    """
    return float(psi_of(np.asarray(trained, np.float64), np.asarray(found, np.float64)))


def psi_of(trained: Numbers, found: Numbers) -> Numbers:
    """`psi` along the last axis: [..., cells], [..., cells] → [...]."""
    result: Numbers = psi_terms(trained, found).sum(axis=-1)
    return result


def psi_terms(trained: Numbers, found: Numbers) -> Numbers:
    """What each cell adds to `psi`, 0 and more: [..., cells], [..., cells] → [..., cells]."""
    e, f = (np.maximum(_shares(counts), LEAST_SHARE) for counts in (trained, found))
    result: Numbers = (f - e) * np.log(f / e)
    return result


def jensen_shannon(trained: Sequence[int] | Counts, found: Sequence[int] | Counts) -> float:
    """The Jensen-Shannon divergence of the cells' shares in bits, from 0 (equal) to 1 (nothing in common) (Lin 1991).

    >>> jensen_shannon([1, 0], [0, 9]), jensen_shannon([2, 2], [1, 1])
    (1.0, 0.0)
    """
    p, q = (_shares(np.asarray(counts, np.float64)) for counts in (trained, found))
    middle = (p + q) / 2
    return float(max(0.0, (_entropy(middle) - (_entropy(p) + _entropy(q)) / 2)))


def _shares(counts: Numbers) -> Numbers:
    result: Numbers = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    return result


def _entropy(shares: Numbers) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())


def p_value(limits: Sequence[Limit], rows: int, statistic: float) -> float:
    """How likely a window of so many rows is at least so far from training, if nothing has changed.

    Between two sizes of windows the quantiles are those of the logarithm of the size between. A larger window than any is held
    against the largest, a smaller one against the smallest as if the index were one over the number of rows, as it is of chance
    alone: both ways less is found than training would allow. Between two quantiles, and beyond the last, the logarithm of
    the probability is linear in the statistic: a sum of squares, which the index is near 0, has such a tail (Imhof 1961).
    """
    at = _quantiles(limits, rows)
    return max(LEAST_P, float(np.exp(_line(statistic, at, np.log(1 - np.array(PROBABILITIES))))))


def critical(limits: Sequence[Limit], rows: int, p: float) -> float:
    """The statistic of which `p_value` says ``p``.

    >>> limits = [Limit(100.0, tuple(-np.log(1 - np.array(PROBABILITIES))))]
    >>> round(critical(limits, 100, 0.02), 6), round(p_value(limits, 100, -np.log(0.02)), 6), round(critical(limits, 50, 1e-6), 3)
    (3.912023, 0.02, 27.631)
    """
    at = _quantiles(limits, rows)
    logs = np.log(1 - np.array(PROBABILITIES))
    return float(max(0.0, _line(-np.log(p), -logs, at)))


def _quantiles(limits: Sequence[Limit], rows: int) -> Numbers:
    """The quantiles for windows of so many rows, each larger than the one before."""
    sizes = np.log([limit.rows for limit in limits])
    quantiles = np.array([limit.quantiles for limit in limits])
    found = np.array([np.interp(np.log(max(1, rows)), sizes, column) for column in quantiles.T])
    found *= max(1.0, limits[0].rows / max(1, rows))
    apart: Numbers = np.maximum.accumulate(found) + FLAT * np.arange(len(found))
    return apart


def _line(at: float, xs: Numbers, ys: Numbers) -> float:
    """Linear from (0, 0) through the points and on beyond the last, with the slope from the .99 quantile to the last one."""
    xs, ys = np.concatenate(([0.0], xs)), np.concatenate(([0.0], ys))
    if at <= xs[-1]:
        return float(np.interp(at, xs, ys))
    first = 1 + PROBABILITIES.index(0.99)
    return float(ys[-1] + (at - xs[-1]) * (ys[-1] - ys[first]) / (xs[-1] - xs[first]))


def discoveries(p_values: Sequence[float], rate: float) -> tuple[list[bool], float]:
    """Which of several tests are discoveries, of which at most ``rate`` are false in the mean, and the p-value that it takes.

    Benjamini & Hochberg (1995), section 3: the largest k with p(k) ≤ k / m · rate; it holds where inputs depend positively on
    each other (Benjamini & Yekutieli 2001). Where there is none the p-value is that of a first one, rate / m.

    >>> discoveries([0.9, 0.01, 0.02, 0.5], 0.05)
    ([False, True, True, False], 0.025)
    """
    tests = len(p_values)
    if not tests:
        return [], rate
    ordered = np.sort(p_values)
    passed = np.nonzero(ordered <= np.arange(1, tests + 1) / tests * rate)[0]
    cut = rate * ((int(passed[-1]) + 1 if len(passed) else 1) / tests)
    return [bool(len(passed)) and p <= cut for p in p_values], cut
