"""How sure a difference of metrics is: the bootstrap, paired (B. Efron, R. Tibshirani, *An Introduction to the Bootstrap*, 1993).

Original and candidate are measured on the same resamples, and the interval is that of the difference: what makes a resample
easy or hard makes it so for both, and cancels (chapter 13 has percentile intervals). Rows of one group depend on each other: one
that has a row labelled 1 has several, alike in their inputs. So whole groups are resampled, and their rows stay together (A.
Davison, D. Hinkley, *Bootstrap Methods and their Application*, 1997, section 3.8). Without a group, the rows of one key of the
features are; without keys, blocks of neighbouring rows in time that do not overlap, of n^(1/3) rows (E. Carlstein, *Annals of
Statistics* 14, 1986). Days are not resampled: a test has seven of them, and an interval by seven draws says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.inputs.signature import Task
from jobs.training.config import TrainConfig
from jobs.training.metrics import Doubles

Whole = npt.NDArray[np.int64]
Statistic = Callable[[Whole], float]
"""A metric of rows that are there so many times, [n]; NaN where it is of none."""

RESAMPLES = 500
SEED = 20_240_501
INTERVAL = (2.5, 97.5)
"""Percentiles: the interval holds the difference in 95 of 100 tests."""
FEWEST = 0.95
"""The share of resamples that must have the metric; fewer say nothing."""
HIGHER = {"mae": False, "rmse": False}
"""Metrics of which less is better."""
UNITS = 30
"""Fewer groups, keys or blocks than this give an interval that is too narrow."""


class Interval(msgspec.Struct, frozen=True):
    """A difference, candidate less original, and between which two it lies."""

    difference: float
    low: float
    high: float
    """NaN where too many resamples have no metric: of rows of one class, say."""


class Draws(msgspec.Struct, frozen=True):
    """Which units each resample has."""

    units: Whole
    """The group, the key or the block of each row, [rows], as numbers from 0 on."""
    count: int
    seed: int

    def weights(self) -> Iterator[Whole]:
        """For each resample how many times each row is in it, [rows]: the same each time, drawn one after the other, not kept."""
        number = int(self.units.max()) + 1
        generator = np.random.default_rng(self.seed)
        for _ in range(self.count):
            yield np.bincount(generator.integers(0, number, number), minlength=number)[self.units]

    def independent(self, labels: Doubles, task: Task) -> int:
        """How many units there are; of a classification, those that have the rarer of both ``labels``, [rows]."""
        if task == "regression":
            return len(np.unique(self.units))
        return min(len(np.unique(self.units[labels == label])) for label in (0, 1))


def draw(frame: pd.DataFrame, count: int = RESAMPLES, seed: int = SEED) -> Draws:
    """``count`` resamples of the rows of ``frame``, in the order of time, by their column ``group``, or else ``key``, if any."""
    column = next((name for name in ("group", "key") if name in frame), None)
    if column is None:
        return Draws(np.arange(len(frame), dtype=np.int64) // max(1, round(len(frame) ** (1 / 3))), count, seed)
    return Draws(frame[column].factorize(use_na_sentinel=False)[0].astype(np.int64), count, seed)


def resampled(metrics: Mapping[str, Statistic], draws: Draws) -> dict[str, Doubles]:
    """Each metric on each resample, [resamples]."""
    found = [[metric(weights) for metric in metrics.values()] for weights in draws.weights()]
    return dict(zip(metrics, np.array(found).T, strict=True))


def interval(difference: float, original: Doubles, candidate: Doubles) -> Interval:
    """The interval of a difference, by a metric of both on the same resamples, [resamples] each."""
    found = candidate - original
    known = found[np.isfinite(found)]
    if len(known) < FEWEST * len(found):
        return Interval(difference, float("nan"), float("nan"))
    low, high = np.percentile(known, INTERVAL)
    return Interval(difference, float(low), float(high))


def is_better_higher(metric: str) -> bool:
    """Whether more of a metric is better."""
    return HIGHER.get(metric, True)


def main_metric(task: Task) -> str:
    """What candidates of a task are judged by."""
    return "average_precision" if task == "classification" else "mae"


def statistics(frame: pd.DataFrame, scores: Doubles, config: TrainConfig) -> dict[str, Statistic]:
    """The metrics of `jobs.training.metrics.measure` that depend on scores, as they are on rows that are there several times."""
    labels = frame["label"].to_numpy(np.float64)
    if config.task == "regression":
        return _of_numbers(labels, scores)
    found = _of_ranking(labels.astype(np.int64), scores)
    if config.group is None:
        return found
    name = f"precision_at_{config.group_top}_by_{config.group}"
    return {**found, name: _of_groups(frame, scores, config.group_top)}


def _of_numbers(labels: Doubles, scores: Doubles) -> dict[str, Statistic]:
    errors = scores - labels

    def r2(weights: Whole) -> float:
        spread = np.average(np.square(labels - np.average(labels, weights=weights)), weights=weights)
        return float(1 - np.average(np.square(errors), weights=weights) / spread) if spread > 0 else float("nan")

    return {
        "mae": lambda weights: float(np.average(np.abs(errors), weights=weights)),
        "rmse": lambda weights: float(np.sqrt(np.average(np.square(errors), weights=weights))),
        "bias": lambda weights: float(np.average(errors, weights=weights)),
        "r2": r2,
    }


def _of_ranking(labels: Whole, scores: Doubles) -> dict[str, Statistic]:
    """Area under the ROC curve and average precision; the order of rows is found once, rows of one score are one step."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    positive = labels[order]

    def counts(weights: Whole) -> tuple[Doubles, Doubles]:
        """How many rows, and how many labelled 1, have at least each score."""
        placed = weights[order]
        return np.cumsum(placed)[ends].astype(np.float64), np.cumsum(placed * positive)[ends].astype(np.float64)

    def average_precision(weights: Whole) -> float:
        rows, found = counts(weights)
        if not found[-1]:
            return float("nan")
        new = np.diff(found, prepend=0.0)
        return float(np.sum(new * found / np.maximum(rows, 1)) / found[-1])

    def auc(weights: Whole) -> float:
        rows, found = counts(weights)
        others = rows - found
        if not found[-1] or not others[-1]:
            return float("nan")
        above = np.diff(others, prepend=0.0) * (found + np.append(0.0, found[:-1])) / 2
        return float(np.sum(above) / found[-1] / others[-1])

    return {"auc": auc, "average_precision": average_precision}


def _of_groups(frame: pd.DataFrame, scores: Doubles, k: int) -> Statistic:
    """`jobs.training.metrics.precision_at`, where a group that was drawn twice is two groups that look alike."""
    groups = frame["group"].factorize(use_na_sentinel=False)[0]
    first = np.unique(groups, return_index=True)[1]
    columns = {"day": frame["day"].to_numpy(), "group": groups, "label": frame["label"].to_numpy(), "score": scores}
    table = pd.DataFrame(columns)[frame["group"].notna().to_numpy()]
    whole = table.groupby(["day", "group"], as_index=False)[["score", "label"]].max()
    days: list[tuple[Whole, Whole]] = []
    for _, day in whole.groupby("day"):
        ranked = day.sort_values("score", ascending=False, kind="stable")
        days.append((ranked["group"].to_numpy(np.int64), ranked["label"].to_numpy(np.int64)))

    def statistic(weights: Whole) -> float:
        times, shares = weights[first].copy(), []  # rows of a group are there equally often
        for ranked, label in days:
            drawn = times[ranked]
            found = np.clip(k - (np.cumsum(drawn) - drawn), 0, drawn) * label
            shares.append(found.sum() / k)
            times[ranked] -= found
        return float(np.mean(shares)) if shares else float("nan")

    return statistic
