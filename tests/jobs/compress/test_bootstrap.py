"""The paired bootstrap: its metrics are those of training, rows repeated and all, and its interval holds what it says."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.settings import TrainSettings
from jobs.compress import bootstrap
from jobs.training.metrics import measure, precision_at

pytestmark = pytest.mark.core

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
    found = bootstrap.statistics(table, table["score"].to_numpy(float), CLASSES)
    weights = table["weight"].to_numpy(np.int64)
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
    found = bootstrap.statistics(table, table["score"].to_numpy(float), NUMBERS)
    weights = table["weight"].to_numpy(np.int64)
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
    metric = bootstrap.statistics(frame, scores, GROUPED)["precision_at_3_by_k"]
    weights = np.array([times[group] for group in frame["group"]])
    days = frame["day"].nunique()
    found = 0.0 if whole is None or whole.empty else precision_at(whole, 3) * whole["day"].nunique() / days
    assert metric(weights) == pytest.approx(found)


def test_groups_are_drawn_whole() -> None:
    """Rows of a group are in a resample equally often; without groups, blocks of neighbouring rows are."""
    draws = bootstrap.draw(pd.DataFrame({"group": list("abcab")}), 20)
    for weights in draws.weights():
        assert weights[0] == weights[3]
        assert weights[1] == weights[4]
    blocks = bootstrap.draw(pd.DataFrame({"day": range(27)}), 1)
    assert blocks.units.tolist() == [place // 3 for place in range(27)]
    assert bootstrap.draw(pd.DataFrame({"key": [7, 5, 7]})).units.tolist() == [0, 1, 0]


def test_resamples_are_the_same_for_all_models_and_are_not_kept() -> None:
    """Both models are measured on equal weights; 500 resamples of 20,000 groups would be 80 MB, and of millions too much."""
    draws = bootstrap.draw(pd.DataFrame({"group": range(20_000)}))
    tracemalloc.start()
    first = sum(int(weights[0]) for weights in draws.weights())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6
    assert first == sum(int(weights[0]) for weights in draws.weights())
    assert all(weights.sum() == 20_000 for weights in islice(draws.weights(), 3))


def test_independent_groups_are_those_of_the_rarer_label() -> None:
    """Of 100 groups two have a label 1: an interval of average precision is of two."""
    frame = pd.DataFrame({"group": range(100), "label": 0.0})
    frame.loc[[3, 5], "label"] = 1.0
    draws = bootstrap.draw(frame, 1)
    assert draws.independent(frame["label"].to_numpy(), "classification") == 2
    assert draws.independent(frame["label"].to_numpy(), "regression") == 100


def test_the_interval_holds_the_true_difference_in_95_of_100_tests() -> None:
    """Two models' errors on groups of alike rows: drawn by group it does, and drawn by row it would not."""
    generator = np.random.default_rng(7)
    held = {"group": 0, "row": 0}
    repeats = 100
    for _ in range(repeats):
        group = np.repeat(np.arange(60), 8)
        shared = generator.normal(0, 1, 60)[group]
        labels = np.zeros(len(group))
        first = labels + generator.normal(0, 0.2, len(group))
        second = first + 0.1 + 0.5 * shared  # the true difference of bias is 0.1; rows of a group are off alike
        for unit in held:
            frame = pd.DataFrame({"label": labels, "group": group if unit == "group" else np.arange(len(group))})
            draws = bootstrap.draw(frame, 100, seed=int(generator.integers(1 << 30)))
            values = [
                bootstrap.resampled({"bias": bootstrap.statistics(frame, one, NUMBERS)["bias"]}, draws)["bias"]
                for one in (first, second)
            ]
            found = bootstrap.interval(float((second - first).mean()), *values)
            held[unit] += found.low <= 0.1 <= found.high
    assert 0.88 * repeats <= held["group"] <= 0.99 * repeats
    assert held["row"] < 0.75 * repeats


def test_pairing_makes_the_interval_of_the_difference_small() -> None:
    """A candidate with nearly the original's scores: the interval is far smaller than that of either metric."""
    generator = np.random.default_rng(3)
    frame = pd.DataFrame({"label": (generator.random(2000) < 0.1).astype(float), "day": 0})
    scores = frame["label"].to_numpy() + generator.normal(0, 0.8, 2000)
    near = scores + generator.normal(0, 1e-3, 2000)
    draws = bootstrap.draw(frame, 100)
    first, second = (bootstrap.resampled(bootstrap.statistics(frame, one, CLASSES), draws)["auc"] for one in (scores, near))
    found = bootstrap.interval(0.0, first, second)
    assert found.high - found.low < 0.05 * (np.percentile(first, 97.5) - np.percentile(first, 2.5))


def test_without_enough_resamples_there_is_no_interval() -> None:
    """One row labelled 1: a third of the resamples have none, and nothing is said of them."""
    frame = pd.DataFrame({"label": [1.0, *[0.0] * 30], "group": range(31)})
    draws = bootstrap.draw(frame, 50)
    values = bootstrap.resampled(bootstrap.statistics(frame, np.arange(31.0), CLASSES), draws)["auc"]
    assert np.isnan(bootstrap.interval(0.0, values, values).low)
