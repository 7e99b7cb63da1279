"""Weighted metrics are scikit-learn's, whatever the weights and the ties."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, mean_pinball_loss, roc_auc_score

from features.inputs.signature import Task
from jobs.training.metrics import main_metric
from jobs.training.weighted import Ranking, calibration_error, log_losses, mean_of, quantile_losses, weighted_main

pytestmark = pytest.mark.slow

SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
ROWS = st.lists(st.tuples(st.integers(0, 1), SCORES, st.integers(0, 3)), min_size=1, max_size=30)


def _columns(rows: list[tuple[int, float, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels, scores, weights = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    return labels, scores, weights


@pytest.mark.parametrize("task", get_args(Task))
def test_what_models_are_compared_by_is_the_metric_that_is_reported(task: Task) -> None:
    """Of rows that are there once each, the gate and a retrain draw the number that a manifest has."""
    random = np.random.default_rng(0)
    labels, scores = (random.random(200) < 0.3).astype(float), random.random(200).round(1)
    expected = main_metric(task).measure(labels, scores)
    assert weighted_main(task, labels, scores)(np.ones(200)) == pytest.approx(expected)


@settings(max_examples=40)
@given(ROWS)
def test_rankings_are_those_of_scikit_learn(rows: list[tuple[int, float, int]]) -> None:
    """With ties and weights of 0; NaN where one class has no weight, which scikit-learn refuses or calls 0."""
    labels, scores, weights = _columns(rows)
    ranking, weighed = Ranking(labels, scores), weights > 0
    if len(set(labels[weighed])) < 2:
        assert np.isnan(ranking.auc(weights))
    else:
        assert ranking.auc(weights) == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))
    if not labels[weighed].any():
        assert np.isnan(ranking.average_precision(weights))
    else:
        expected = average_precision_score(labels, scores, sample_weight=weights)
        assert ranking.average_precision(weights) == pytest.approx(expected)


@settings(max_examples=40)
@given(ROWS)
def test_means_are_those_of_scikit_learn(rows: list[tuple[int, float, int]]) -> None:
    """The log loss and the quantile loss are weighted means."""
    labels, scores, weights = _columns(rows)
    if not weights.any():
        assert np.isnan(mean_of(log_losses(labels, scores))(weights))
        return
    expected = log_loss(labels, scores, sample_weight=weights, labels=[0, 1])
    assert mean_of(log_losses(labels, scores))(weights) == pytest.approx(expected)
    pinball = mean_pinball_loss(labels, scores, sample_weight=weights, alpha=0.9)
    assert mean_of(quantile_losses(labels, scores, 0.9))(weights) == pytest.approx(pinball)


def test_whole_weights_are_copies_of_rows() -> None:
    """A row that was drawn twice counts as two rows: what a bootstrap relies on."""
    random = np.random.default_rng(1)
    labels, scores, weights = random.integers(0, 2, 50), random.random(50), random.integers(0, 4, 50)
    copied = np.repeat(np.arange(50), weights)
    ones = np.ones(len(copied))
    assert Ranking(labels, scores).auc(weights.astype(float)) == pytest.approx(Ranking(labels[copied], scores[copied]).auc(ones))


def test_calibration_is_how_far_scores_are_from_shares() -> None:
    """Scores that are the shares of their rows are calibrated; those that say 0.1 too much are off by 0.1."""
    labels = np.tile([1, 0, 0, 0, 0, 1, 1, 1, 1, 0], 10)
    scores = np.tile([0.2] * 5 + [0.8] * 5, 10)
    assert calibration_error(labels, scores)(np.ones(100)) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(labels, scores + 0.1)(np.ones(100)) == pytest.approx(0.1)
    assert np.isnan(calibration_error(labels, scores)(np.zeros(100)))


def test_no_rows_have_no_metric() -> None:
    """Nothing is refused that a draw may leave."""
    ranking = Ranking(np.empty(0), np.empty(0))
    assert np.isnan([ranking.auc(np.empty(0)), ranking.average_precision(np.empty(0))]).all()
