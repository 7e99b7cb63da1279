"""Whether a newer model is worse is said by the interval of a paired difference on the same rows."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from features.inputs.onnx import ScoredTable
from features.service import Service
from infra.train_settings import TrainSettings
from jobs.training.bootstrap import Interval
from jobs.training.keys import drawn_whole, keys_of
from jobs.training.metrics import average_precision
from jobs.training.retrain import Retrained, retrain
from jobs.training.rows import rows_of
from jobs.training.split import Split
from jobs.training.split import test_rows as rows_to_be_tested

pytestmark = pytest.mark.slow

CONFIG = TrainSettings(label="labels.is_fraud", group="customer_id", trees=10).config
SPLIT = Split(date(2018, 4, 20), days=7, delay_days=7, test_days=7)


def test_production_and_the_newer_model_are_measured_on_the_same_rows(small: Service) -> None:
    """The metric of each is the library's; one that scores at random is clearly worse, and one that is equal is neither."""
    rows = rows_of(small, CONFIG, SPLIT)
    test = rows_to_be_tested(rows.frame, SPLIT, CONFIG)

    def at_random(table: pa.Table) -> ScoredTable:
        scores = np.random.default_rng(0).random(table.num_rows)
        return ScoredTable(pa.array(scores), pa.nulls(table.num_rows, pa.string()))

    found = retrain(small, CONFIG, SPLIT, rows, at_random)
    assert found.rows == len(test) == rows.test.sum()
    assert found.units == test["group"][test["label"] == 1].nunique()
    assert found.candidate.value == pytest.approx(found.trained.metrics["average_precision"])
    labels = test["label"].to_numpy(np.int64)
    assert found.production.value == pytest.approx(average_precision(labels, np.random.default_rng(0).random(len(test))))
    assert found.meets("not-worse")
    assert found.meets("better")
    same = ScoredTable(pa.array(found.trained.scores), pa.nulls(len(test), pa.string()))
    equal = retrain(small, CONFIG, SPLIT, rows, lambda table: same)
    assert equal.difference.value == equal.difference.low == equal.difference.high == 0
    assert equal.meets("not-worse")
    assert not equal.meets("better")


def test_rows_are_drawn_by_the_group_and_by_days(small: Service) -> None:
    """Without a group, by the first key of the features; few days are no blocks."""
    rows = rows_of(small, CONFIG, SPLIT)
    table = rows.table.filter(pa.array(rows.test))
    test = rows_to_be_tested(rows.frame, SPLIT, CONFIG)
    of_rows = keys_of(small.plan, table, CONFIG)
    keys, days = drawn_whole(of_rows, test["day"].to_numpy())
    assert len(np.unique(keys)) == len(set(table["customer_id"].to_pylist()))
    assert len(np.unique(days)) == 7
    assert len(drawn_whole(of_rows, test["day"].to_numpy() % 2)) == 1


@pytest.mark.parametrize(
    ("difference", "higher", "not_worse", "better"),
    [
        ((0.1, 0.05, 0.2), True, True, True),
        ((-0.01, -0.1, 0.05), True, True, False),
        ((-0.1, -0.2, -0.05), True, False, False),
        ((-0.1, -0.2, -0.05), False, True, True),
        ((0.1, 0.05, 0.2), False, False, False),
        ((-0.1, np.nan, np.nan), True, False, False),
        ((0.1, np.nan, np.nan), True, True, False),
    ],
)
def test_what_is_worse_depends_on_the_interval_and_on_the_metric(
    difference: tuple[float, float, float], higher: bool, not_worse: bool, better: bool
) -> None:
    """An error is better where it is lower; without an interval the difference says what is worse, and nothing is better."""
    none = Interval(0.0, 0.0, 0.0, 9)
    found = Retrained(None, "m", higher, none, none, Interval(*difference, 9), {}, 1, "keys", 40)  # type: ignore[arg-type]
    assert (found.meets("not-worse"), found.meets("better")) == (not_worse, better)
