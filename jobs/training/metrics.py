"""How good scores are: over all rows, and for an investigator who can look at so many cards a day."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64] | npt.NDArray[np.int64]


def auc(labels: Numbers, scores: Numbers) -> float:
    """The chance that a random positive row has a higher score than a random negative one; ties count half."""
    return float(roc_auc_score(labels, scores))


def average_precision(labels: Numbers, scores: Numbers) -> float:
    """The precision at each positive row's score, averaged over the positive rows."""
    return float(average_precision_score(labels, scores))


def card_precision(frame: pd.DataFrame, top: int = 100) -> float:
    """Of the ``top`` cards of each day with the highest scores, the share that had a fraud that day; mean over the days.

    ``frame`` has a row for each transaction: key (the card), day, label and score. A card's score is its day's highest.
    A card that was looked at and had a fraud is blocked: its later days don't count. A day with fewer cards is measured
    against ``top`` all the same. (Fraud Detection Handbook, chapter 4,
    "Precision top-k metrics".)
    """
    blocked: set[object] = set()
    precisions = []
    for _, day in frame.sort_values("day", kind="stable").groupby("day"):
        cards = day[~day["key"].isin(blocked)].groupby("key")[["score", "label"]].max()
        looked_at = cards.sort_values("score", ascending=False, kind="stable").head(top)
        found = looked_at.index[looked_at["label"] == 1]
        blocked.update(found)
        precisions.append(len(found) / top)
    return float(np.mean(precisions)) if precisions else float("nan")
