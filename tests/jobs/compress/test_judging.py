"""What candidates are judged by: metrics are those of training, rows repeated and all, and alike rows are drawn together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.train_settings import TrainSettings
from jobs.compress import judging
from jobs.training.bootstrap import bootstrap
from jobs.training.keys import independent
from jobs.training.metrics import measure, precision_at

pytestmark = pytest.mark.slow

CLASSES = TrainSettings(label="a.b").config
GROUPED = TrainSettings(label="a.b", group="k", group_top=3).config
NUMBERS = TrainSettings(label="a.b", task="regression").config

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 4)), min_size=2, max_size=40)


@given(rows=rows)
@settings(max_examples=25, deadline=None)
def test_metrics_of_repeated_rows_are_those_of_training(rows: list[tuple[bool, int, int]]) -> None:
    """With ties among the scores: a weight of 3 is the row three times, and one of 0 is none."""
    table = pd.DataFrame(rows, columns=["label", "score", "weight"]).astype({"label": float})
    repeated = table.loc[table.index.repeat(table["weight"])]
    found = judging.statistics(table, table["score"].to_numpy(float), CLASSES)
    weights = table["weight"].to_numpy(np.float64)
    if repeated["label"].nunique() < 2:
        assert np.isnan(found["auc"](weights))
        return
    expected = measure(repeated, repeated["score"].to_numpy(), CLASSES)
    assert {name: metric(weights) for name, metric in found.items()} == pytest.approx(expected)


@given(rows=rows)
@settings(max_examples=25, deadline=None)
def test_metrics_of_numbers_are_those_of_training(rows: list[tuple[bool, int, int]]) -> None:
    """The mean label of training does not depend on scores, and is not among them."""
    table = pd.DataFrame(rows, columns=["is_large", "score", "weight"]).assign(baseline=0.0)
    table["label"] = table["score"] * 0.5 + 3.0 * table["is_large"]
    repeated = table.loc[table.index.repeat(table["weight"])]
    if repeated["label"].nunique() < 2:
        return
    expected = measure(repeated, repeated["score"].to_numpy(), NUMBERS)
    del expected["mae_of_mean"]
    found = judging.statistics(table, table["score"].to_numpy(float), NUMBERS)
    weights = table["weight"].to_numpy(np.float64)
    assert {name: metric(weights) for name, metric in found.items()} == pytest.approx(expected)


@given(
    events=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.booleans()), min_size=1, max_size=40),
    times=st.lists(st.integers(0, 3), min_size=7, max_size=7),
)
@settings(max_examples=40, deadline=None)
def test_a_group_that_was_drawn_twice_is_two_groups(events: list[tuple[int, int, bool]], times: list[int]) -> None:
    """Each takes a place among the highest, and the one that is found is out: as `precision_at` has it, on copies of the rows."""
    frame = pd.DataFrame(events, columns=["day", "group", "label"]).astype({"label": float})
    scores = np.random.default_rng(len(events)).permutation(len(events)).astype(float)
    # no ties between groups: which of two equal ones comes first is no rule
    copies = [
        frame[frame["group"] == group].assign(group=f"{group} {copy}", score=scores[frame["group"] == group])
        for group in range(7)
        for copy in range(times[group])
    ]
    whole = pd.concat(copies) if copies else None
    metric = judging.statistics(frame, scores, GROUPED)["precision_at_3_by_k"]
    weights = np.array([times[group] for group in frame["group"]], np.float64)
    days = frame["day"].nunique()
    found = 0.0 if whole is None or whole.empty else precision_at(whole, 3) * whole["day"].nunique() / days
    assert metric(weights) == pytest.approx(found)


def test_rows_are_drawn_together_that_are_alike() -> None:
    """Those of a group; without one, of a key of the features; without either, neighbours in time."""
    assert judging.units_of(pd.DataFrame({"group": list("abcab"), "key": range(5)})).tolist() == [0, 1, 2, 0, 1]
    assert judging.units_of(pd.DataFrame({"key": [7, 5, 7]})).tolist() == [0, 1, 0]
    assert judging.units_of(pd.DataFrame({"day": range(27)})).tolist() == [place // 3 for place in range(27)]


def test_independent_groups_are_those_of_the_rarer_label() -> None:
    """Of 100 groups two have a label 1: an interval of average precision is of two."""
    labels = np.zeros(100)
    labels[[3, 5]] = 1
    assert independent(np.arange(100), labels, "classification") == 2
    assert independent(np.arange(100), labels, "regression") == 100


def test_without_enough_draws_there_is_no_interval() -> None:
    """One row labelled 1: a third of the draws have none, and nothing is said of them."""
    frame = pd.DataFrame({"label": [1.0, *[0.0] * 30], "group": range(31)})
    auc = judging.statistics(frame, np.arange(31.0), CLASSES)["auc"]
    units = [judging.units_of(frame)]
    (found,) = bootstrap(lambda weights: np.array([auc(weights)]), units, resamples=50)
    assert np.isnan(found.low)
