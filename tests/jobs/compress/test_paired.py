"""Original and candidate are measured on the same draws of keys and days."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from infra.settings import TrainSettings
from jobs.compress.paired import intervals
from jobs.training.bootstrap import bootstrap
from jobs.training.weighted import Ranking

pytestmark = pytest.mark.core

CONFIG = TrainSettings(label="a.b", group="k", group_top=3).config
ROWS, KEYS, DAYS = 1400, 200, 7


def made() -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of keys and days, and scores that know something."""
    generator = np.random.default_rng(3)
    label = (generator.random(ROWS) < 0.1).astype(float)
    frame = pd.DataFrame({"label": label, "day": np.arange(ROWS) % DAYS, "group": np.arange(ROWS) % KEYS})
    return frame, label + generator.normal(0, 0.8, ROWS)


def test_each_candidate_has_an_interval_of_each_metric_beside_the_original() -> None:
    """What scores alike differs by nothing, what scores at random is clearly worse; groups of a day are drawn without days."""
    frame, scores = made()
    blocks = [frame["group"].to_numpy(), frame["day"].to_numpy()]
    at_random = np.random.default_rng(4).random(ROWS)
    same, worse = intervals(frame, [scores, scores, at_random], blocks, CONFIG, 100)
    assert set(same) == set(worse) == {"auc", "average_precision", "precision_at_3_by_k"}
    assert all(one.value == one.low == one.high == 0 for one in same.values())
    assert worse["average_precision"].high < 0
    assert (worse["average_precision"].blocks, worse["precision_at_3_by_k"].blocks) == (DAYS, KEYS)
    assert intervals(frame, [scores], blocks, CONFIG, 100) == []


def test_pairing_makes_the_interval_of_the_difference_small() -> None:
    """A candidate with nearly the original's scores: the interval is far smaller than that of the original's own metric."""
    frame, scores = made()
    blocks = [frame["group"].to_numpy()]
    near = scores + np.random.default_rng(5).normal(0, 1e-3, ROWS)
    (found,) = intervals(frame, [scores, near], blocks, CONFIG, 100)
    ranking = Ranking(frame["label"].to_numpy(), scores)
    (alone,) = bootstrap(lambda weights: np.array([ranking.auc(weights)]), blocks, resamples=100)
    assert found["auc"].high - found["auc"].low < 0.05 * (alone.high - alone.low)
