"""What methods learn from: the training rows alone, in the order of time, whatever that of the file."""

from __future__ import annotations

from datetime import date

import msgspec
import numpy as np
import pytest

from features.service import Service
from infra.train_settings import TrainSettings
from jobs.compress.compress import learnt_of
from jobs.training.rows import rows_of
from jobs.training.split import Split

pytestmark = pytest.mark.slow

CONFIG = TrainSettings(label="labels.is_fraud").config
SPLIT = Split(date(2018, 4, 20), days=7, delay_days=7, test_days=7)


def test_rows_are_learnt_from_in_the_order_of_time(small: Service) -> None:
    """The rows that `prune_trees` judges by are the last of training; of a file in another order they were any."""
    rows = rows_of(small, CONFIG, SPLIT)
    shuffled = np.random.default_rng(1).permutation(len(rows.frame))
    other = msgspec.structs.replace(
        rows,
        table=rows.table.take(shuffled),
        frame=rows.frame.iloc[shuffled],
        x=rows.x[shuffled],
        training=rows.training[shuffled],
        test=rows.test[shuffled],
    )
    found = learnt_of(small.plan, other, other.x, SPLIT, CONFIG)
    times = rows.table[small.plan.spine_source.time].to_numpy()
    by_time = np.argsort(times, kind="stable")
    expected = by_time[rows.frame["day"].to_numpy()[by_time] < SPLIT.first_day + SPLIT.days]
    assert len(set(times[expected])) > len(expected) * 0.9
    order = np.lexsort((rows.x[expected][:, 0], times[expected]))
    own = np.lexsort((found.x[:, 0], np.sort(times[expected])))
    np.testing.assert_array_equal(found.x[own], rows.x[expected][order])
    assert np.isfinite(found.labels).all()
    assert found.labels.sum() == rows.frame["label"][rows.training].sum()
