"""The metrics that candidates are judged by, on rows that are drawn several times, and which rows are drawn together.

Original and candidate are measured on the same draws (`jobs.training.bootstrap`), and the interval is that of their difference.
Rows of one group depend on each other: one that has a row labelled 1 has several, alike in their inputs. So whole groups are
drawn, and their rows stay together. Without a group, the rows of one key of the features are; without keys, blocks of
neighbouring rows in time that do not overlap, of n^(1/3) rows (E. Carlstein, *Annals of Statistics* 14, 1986). Days are not
drawn as well: precision at k follows a group from day to day, for which all its rows have to be there equally often.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from jobs.training.config import TrainConfig
from jobs.training.metrics import Doubles
from jobs.training.weighted import Metric, Ranking, mean_of

Whole = npt.NDArray[np.int64]

RESAMPLES = 500
ERRORS = ("mae", "rmse")
"""Metrics of which less is better."""


def units_of(frame: pd.DataFrame) -> Whole:
    """Which rows are drawn together, [rows], from 0 on: those of one ``group``, or else of one ``key``, where ``frame`` has such
    a column; else neighbours in its order, which is that of time.
    """
    column = next((name for name in ("group", "key") if name in frame), None)
    if column is None:
        blocks: Whole = np.arange(len(frame), dtype=np.int64) // max(1, round(len(frame) ** (1 / 3)))
        return blocks
    units: Whole = frame[column].factorize(use_na_sentinel=False)[0].astype(np.int64)
    return units


def is_better_higher(metric: str) -> bool:
    """Whether more of a metric is better."""
    return metric not in ERRORS


def statistics(frame: pd.DataFrame, scores: Doubles, config: TrainConfig) -> dict[str, Metric]:
    """The metrics of `jobs.training.metrics.measure` that depend on scores, as they are on rows that are there several times."""
    labels = frame["label"].to_numpy(np.float64)
    if config.task == "regression":
        return _of_numbers(labels, scores)
    ranking = Ranking(labels, scores)
    found: dict[str, Metric] = {"auc": ranking.auc, "average_precision": ranking.average_precision}
    if config.group is None:
        return found
    name = f"precision_at_{config.group_top}_by_{config.group}"
    return {**found, name: _of_groups(frame, scores, config.group_top)}


def _of_numbers(labels: Doubles, scores: Doubles) -> dict[str, Metric]:
    errors = scores - labels
    mean, squared = mean_of(errors), mean_of(np.square(errors))

    def r2(weights: Doubles) -> float:
        spread = mean_of(np.square(labels - mean_of(labels)(weights)))(weights)
        return 1 - squared(weights) / spread if spread > 0 else float("nan")

    return {
        "mae": mean_of(np.abs(errors)),
        "rmse": lambda weights: float(np.sqrt(squared(weights))),
        "bias": mean,
        "r2": r2,
    }


def _of_groups(frame: pd.DataFrame, scores: Doubles, k: int) -> Metric:
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

    def statistic(weights: Doubles) -> float:
        times, shares = weights[first].astype(np.int64), []  # rows of a group are there equally often
        for ranked, label in days:
            drawn = times[ranked]
            found = np.clip(k - (np.cumsum(drawn) - drawn), 0, drawn) * label
            shares.append(found.sum() / k)
            times[ranked] -= found
        return float(np.mean(shares)) if shares else float("nan")

    return statistic
