"""Metrics of weighted rows, fast enough for a thousand draws of a bootstrap: what can be sorted is sorted once.

``weights`` is [n], from 0; a metric of a draw is NaN where it has none, as where no row has weight, or all are of one class.
Each equals scikit-learn's of the same name with ``sample_weight``, to which tests hold it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from features.inputs.signature import Task
from jobs.training.metrics import Numbers

Doubles = npt.NDArray[np.float64]
Metric = Callable[[Doubles], float]
SMALLEST = float(np.finfo(np.float64).eps)
"""A chance nearer to 0 or 1 counts as this far away in the log loss, as in scikit-learn."""
BINS = 10


class Ranking:
    """How well scores rank rows of label 1 before those of label 0."""

    def __init__(self, labels: Numbers, scores: Numbers) -> None:
        order = np.argsort(-np.asarray(scores), kind="stable")
        sorted_scores = np.asarray(scores)[order]
        self._order = order
        self._positive = np.asarray(labels, np.float64)[order]
        self._ends = np.append(np.flatnonzero(np.diff(sorted_scores)), len(order) - 1) if len(order) else np.empty(0, np.int64)
        """The last row of each score: ties count as one."""

    def average_precision(self, weights: Doubles) -> float:
        """The precision at each score, averaged over the weight of the positive rows."""
        positives, all_rows = self._found(weights)
        if not len(positives) or positives[-1] == 0 or all_rows[-1] == 0:
            return float("nan")
        precision = np.divide(positives, all_rows, out=np.zeros_like(positives), where=all_rows > 0)
        return float(np.sum(np.diff(positives, prepend=0.0) * precision) / positives[-1])

    def auc(self, weights: Doubles) -> float:
        """The chance that a positive row has a higher score than a negative one; ties count half."""
        positives, all_rows = self._found(weights)
        if not len(positives):
            return float("nan")
        negatives = all_rows - positives
        if positives[-1] == 0 or negatives[-1] == 0:
            return float("nan")
        heights = positives - np.diff(positives, prepend=0.0) / 2
        return float(np.sum(np.diff(negatives, prepend=0.0) * heights) / (positives[-1] * negatives[-1]))

    def _found(self, weights: Doubles) -> tuple[Doubles, Doubles]:
        """The weight of the positive rows, and of all, at each score or above, the highest score first."""
        sorted_weights = weights[self._order]
        return np.cumsum(sorted_weights * self._positive)[self._ends], np.cumsum(sorted_weights)[self._ends]


def weighted_main(task: Task, labels: Numbers, scores: Numbers) -> Metric:
    """`jobs.training.metrics.main_metric` of rows that are drawn several times."""
    return mean_of(np.abs(scores - labels)) if task == "regression" else Ranking(labels, scores).average_precision


def mean_of(values: Numbers) -> Metric:
    """The weighted mean of a number of each row: of its absolute error, say, or its loss."""
    doubles = np.asarray(values, np.float64)

    def measured(weights: Doubles) -> float:
        total = weights.sum()
        return float(np.dot(doubles, weights) / total) if total > 0 else float("nan")

    return measured


def log_losses(labels: Numbers, scores: Numbers) -> Doubles:
    """-log of the chance that each score gave to its label; scores are chances, in [0, 1]."""
    chances = np.clip(np.asarray(scores, np.float64), SMALLEST, 1 - SMALLEST)
    losses: Doubles = -np.log(np.where(np.asarray(labels) == 1, chances, 1 - chances))
    return losses


def quantile_losses(labels: Numbers, scores: Numbers, quantile: float) -> Doubles:
    """The pinball loss of each row (Koenker and Bassett 1978): what is too low costs ``quantile``, too high 1 - ``quantile``."""
    errors = np.asarray(labels, np.float64) - np.asarray(scores, np.float64)
    losses: Doubles = np.maximum(quantile * errors, (quantile - 1) * errors)
    return losses


def calibration_error(labels: Numbers, scores: Numbers, bins: int = BINS) -> Metric:
    """The expected calibration error (Naeini and others 2015): over bins of equal numbers of rows, the weighted mean of how far
    the mean score is from the share of label 1. Bins are cut once, of all rows.
    """
    values = np.asarray(scores, np.float64)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])) if len(values) else np.empty(0)
    places, apart = np.searchsorted(edges, values, side="left"), values - np.asarray(labels, np.float64)

    def measured(weights: Doubles) -> float:
        total = weights.sum()
        if total <= 0:
            return float("nan")
        return float(np.abs(np.bincount(places, apart * weights, minlength=len(edges) + 1)).sum() / total)

    return measured
