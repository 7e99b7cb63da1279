"""The metrics, on rankings small enough to count."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from infra.train_settings import TrainSettings
from jobs.training.metrics import auc, average_precision, measure, precision_at

pytestmark = pytest.mark.slow


def test_metrics_are_those_of_a_ranking() -> None:
    """One of two negatives above one of two positives: three of four pairs are in order; precisions are 1 and 2/3."""
    labels, ranked = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    assert auc(labels, ranked) == 3 / 4
    assert average_precision(labels, ranked) == pytest.approx((1 + 2 / 3) / 2)


def test_a_group_that_was_found_is_out_afterwards() -> None:
    """The second day's two highest are the first day's, of which one was found and no longer counts."""
    rows = [
        ("a", 1, 1, 0.9),
        ("b", 1, 0, 0.8),
        ("c", 1, 1, 0.1),
        ("a", 2, 1, 0.9),
        ("b", 2, 1, 0.8),
        ("c", 2, 1, 0.7),
    ]
    frame = pd.DataFrame(rows, columns=["group", "day", "label", "score"])
    assert precision_at(frame, 2) == (1 / 2 + 2 / 2) / 2


def test_a_day_with_fewer_groups_is_measured_against_k() -> None:
    """Of 4, one found among two groups is a quarter; no day at all has no precision."""
    frame = pd.DataFrame([("a", 1, 1, 0.9), ("a", 1, 0, 0.95), ("b", 1, 0, 0.1)], columns=["group", "day", "label", "score"])
    assert precision_at(frame, 4) == 1 / 4
    assert math.isnan(precision_at(frame[:0], 4))


def test_the_metric_of_groups_is_named_by_its_group() -> None:
    """It is one metric among others, and left out where no group is named."""
    test = pd.DataFrame([("a", 1, 1.0), ("b", 1, 0.0)], columns=["group", "day", "label"])
    scores = np.array([0.9, 0.1])
    by_account = measure(test, scores, TrainSettings(label="orders.late", group="account_id", group_top=1).config)
    assert by_account == {"auc": 1.0, "average_precision": 1.0, "precision_at_1_by_account_id": 1.0}
    ungrouped = measure(test.drop(columns="group"), scores, TrainSettings(label="orders.late").config)
    assert ungrouped == {"auc": 1.0, "average_precision": 1.0}


def test_metrics_of_a_regression_are_errors_in_the_unit_of_the_label() -> None:
    """Errors of +1 and -3 about labels whose mean is 2, beside a baseline that says 4."""
    test = pd.DataFrame({"label": [1.0, 3.0], "baseline": [4.0, 4.0]})
    config = TrainSettings(label="orders.weight", task="regression").config
    assert measure(test, np.array([2.0, 0.0]), config) == {
        "mae": 2.0,
        "rmse": math.sqrt(5),
        "bias": -1.0,
        "r2": 1 - 10 / 2,
        "mae_of_mean": 2.0,
    }
