"""Which rows are trained on and tested."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from features.errors import SettingError
from infra.train_settings import TrainSettings
from jobs.training.split import Split, rows_to_test, rows_to_train

pytestmark = pytest.mark.slow

SPLIT = Split(date(1970, 1, 1), days=2, delay_days=2, test_days=2)
ROWS = [
    ("in training", 0, 1),
    ("in training", 1, None),
    ("in training", 4, 0),
    ("in the delay", 2, 1),  # known on the second test day
    ("in the delay", 4, 0),
    ("in the delay", 5, 0),
    ("never", 4, 1),
    ("never", 6, 0),
    ("never", 5, None),
]
FRAME = pd.DataFrame(ROWS, columns=["group", "day", "label"])


def test_days_follow_each_other() -> None:
    """Training, delay and test are spans of days, the end of one the start of the next; rows without a label are in none."""
    everything = TrainSettings(label="orders.late").config
    assert FRAME.index[rows_to_train(FRAME, SPLIT)].tolist() == [0]
    assert FRAME.index[rows_to_test(FRAME, SPLIT, everything)].tolist() == [2, 4, 5, 6]


def test_known_positives_are_left_out_where_the_settings_say_so() -> None:
    """Known are the positives of training, and with each test day those of one more day of the delay."""
    settings = TrainSettings(label="orders.late", group="account_id", leave_out_known_positives=True)
    tested = FRAME[rows_to_test(FRAME, SPLIT, settings.config)]
    assert tested[["group", "day"]].values.tolist() == [["in the delay", 4], ["never", 4]]


def test_a_test_without_rows_of_groups_that_are_known_is_refused() -> None:
    """Where each group was once positive nothing is left to test; the line says the rule, what came and what to do."""
    frame = pd.DataFrame([("a", 0, 1), ("b", 1, 1), ("a", 4, 0), ("b", 4, 1), ("b", 5, 0)], columns=["group", "day", "label"])
    settings = TrainSettings(label="orders.late", group="store_id", leave_out_known_positives=True)
    message = (
        "of 3 rows 0 are left, 0 of them labelled 1: a positive of most values of store_id is known; set it to false, or group by"
    )
    with pytest.raises(SettingError, match=message):
        rows_to_test(frame, SPLIT, settings.config)
    everything = TrainSettings(label="orders.late").config
    assert rows_to_test(frame.drop(columns="group"), SPLIT, everything).sum() == 3
