"""How good scores are: as a ranking, for those who can look at so many groups a day, or as numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from features.inputs.signature import Task
from jobs.training.config import TrainConfig

Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64] | npt.NDArray[np.int64]


class MainMetric(NamedTuple):
    """The one number by which two models are compared."""

    key: str
    """As `measure` has it."""
    name: str
    """In words."""
    higher_is_better: bool
    measure: Callable[[Numbers, Numbers], float]
    """(labels, scores) → the metric."""


def main_metric(task: Task) -> MainMetric:
    """What models of a task are compared by."""
    if task == "regression":
        return MainMetric("mae", "mean absolute error", higher_is_better=False, measure=mean_absolute_error)
    return MainMetric("average_precision", "average precision", higher_is_better=True, measure=average_precision)


def measure(test: pd.DataFrame, scores: Numbers, config: TrainConfig) -> dict[str, float]:
    """The metrics of ``scores``, one for each row of ``test``, by name; ``test`` is as `jobs.training.split.test_rows` gives it.

    Of a regression, `regression_metrics`. Of a classification ``auc`` and ``average_precision``; where ``config`` names a group,
    say account_id with 100 a day, also ``precision_at_100_by_account_id``.
    """
    if config.task == "regression":
        return regression_metrics(test["label"].to_numpy(), np.asarray(scores, np.float64), test["baseline"].to_numpy())
    labels = test["label"].to_numpy(np.int64)
    metrics = {"auc": auc(labels, scores), "average_precision": average_precision(labels, scores)}
    if config.group is None:
        return metrics
    name = f"precision_at_{config.group_top}_by_{config.group}"
    return metrics | {name: precision_at(test.assign(score=scores), config.group_top)}


def regression_metrics(labels: Doubles, scores: Doubles, baseline: Doubles) -> dict[str, float]:
    """How far scores are from labels, in the label's unit; ``baseline`` is what would be said without a model.

    ``mae`` is the mean absolute error, ``rmse`` the root of the mean squared one, ``bias`` the mean of score - label, ``r2`` the
    share of the labels' variance that the scores explain, ``mae_of_mean`` the baseline's ``mae``.
    """
    errors = scores - labels
    return {
        "mae": mean_absolute_error(labels, scores),
        "rmse": float(np.sqrt(np.square(errors).mean())),
        "bias": float(errors.mean()),
        "r2": float(r2_score(labels, scores)),
        "mae_of_mean": mean_absolute_error(labels, baseline),
    }


def mean_absolute_error(labels: Numbers, scores: Numbers) -> float:
    """How far scores are from labels, the mean, in the label's unit."""
    return float(np.abs(scores - labels).mean())


def auc(labels: Numbers, scores: Numbers) -> float:
    """The chance that a random positive row has a higher score than a random negative one; ties count half."""
    return float(roc_auc_score(labels, scores))


def average_precision(labels: Numbers, scores: Numbers) -> float:
    """The precision at each positive row's score, averaged over the positive rows."""
    return float(average_precision_score(labels, scores))


def precision_at(frame: pd.DataFrame, k: int) -> float:
    """Of the ``k`` groups with the highest scores of each day, the share that had a positive that day; mean over the days.

    ``frame`` has the columns group, day, label and score. A group's score is its day's highest. A group that is found, one of
    the ``k`` with a positive, is out afterwards. A day with fewer groups is measured against ``k`` all the same. NaN without
    any day. The rule's source is in docs/training.md.
    """
    out: set[object] = set()
    precisions = []
    for _, day in frame.sort_values("day", kind="stable").groupby("day"):
        groups = day[~day["group"].isin(out)].groupby("group")[["score", "label"]].max()
        highest = groups.sort_values("score", ascending=False, kind="stable").head(k)
        found = highest.index[highest["label"] == 1]
        out.update(found)
        precisions.append(len(found) / k)
    return float(np.mean(precisions)) if precisions else float("nan")
