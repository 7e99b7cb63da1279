"""Whether what was said on the whole is what happened: over bins of the scores, the mean score and the mean label."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.inputs.signature import Task
from features.times import DAY_MS
from jobs.outcomes.performance import ALL, RESAMPLES, blocks, by_version
from jobs.training.bootstrap import Doubles, Interval, bootstrap
from schemas.outcomes_report import Calibration, CalibrationBin, Measure

EDGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
"""The bins end at these quantiles of the scores: where label 1 is rare, the few high scores are what is acted upon."""


def calibrations(matured: pd.DataFrame, task: Task, key: str | None) -> list[Calibration]:
    """Of all labelled rows, and of each version's; ``matured`` and ``key`` are as in `jobs.outcomes.performance.performances`.

    None of a classification with a score beyond [0, 1]: such a score is no chance.
    """
    labelled = matured[matured["label"].notna()].assign(_day=lambda rows: rows["event_time"] // DAY_MS)
    if not len(labelled) or (task == "classification" and not labelled["score"].between(0, 1).all()):
        return []
    return [Calibration(name, _bins(rows, key)) for name, rows in [(ALL, labelled), *by_version(labelled)]]


def measure(found: Interval) -> Measure:
    """The same, where what is not known is None."""
    return Measure(found.value, found.low, found.high) if found.is_known else Measure(found.value, None, None)


def _bins(rows: pd.DataFrame, key: str | None) -> list[CalibrationBin]:
    """Equal scores are in one bin; the interval of a bin's mean label is of the same draws as those of the metrics.

    A bin whose labels are all equal has none: every draw gives that label, however few there are.
    """
    scores, labels = rows["score"].to_numpy(np.float64), rows["label"].to_numpy(np.float64)
    edges = np.unique(np.quantile(scores, EDGES, method="inverted_cdf"))
    edges = edges[edges < scores.max()]
    places, size = np.searchsorted(edges, scores, side="left"), len(edges) + 1

    def mean_labels(weights: Doubles) -> Doubles:
        total = np.bincount(places, weights, minlength=size)
        found: Doubles = np.divide(
            np.bincount(places, weights * labels, minlength=size), total, out=np.full(size, np.nan), where=total > 0
        )
        return found

    intervals = bootstrap(mean_labels, blocks(rows, key), resamples=RESAMPLES)
    bins = []
    for place, interval in enumerate(intervals):
        own, of_own = scores[places == place], labels[places == place]
        found = Measure(interval.value, None, None) if of_own.min() == of_own.max() else measure(interval)
        bins.append(CalibrationBin(float(own.min()), float(own.max()), len(own), float(own.mean()), found))
    return bins
