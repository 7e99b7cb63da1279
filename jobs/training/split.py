"""Which rows a model learns from, and which it is tested on."""

from __future__ import annotations

from datetime import date

import msgspec
import pandas as pd

from features.errors import SettingError
from jobs.training.config import TrainConfig


class Split(msgspec.Struct, frozen=True):
    """The days of training, then those until its labels are known, then those of the test."""

    train_from: date
    days: int
    delay_days: int
    """How many days after its row a label is known."""
    test_days: int

    @property
    def first_day(self) -> int:
        """Days since 1970 of the first day of training."""
        return (self.train_from - date(1970, 1, 1)).days

    @property
    def first_test_day(self) -> int:
        """Days since 1970 of the first day of the test."""
        return self.first_day + self.days + self.delay_days

    @property
    def end_day(self) -> int:
        """Days since 1970 of the day after the test."""
        return self.first_test_day + self.test_days


def rows_to_train(frame: pd.DataFrame, split: Split) -> pd.Series[bool]:
    """The rows of the training days that have a label; ``frame`` is as `jobs.training.labels.outcomes` gives it."""
    return frame["day"].between(split.first_day, split.first_day + split.days, inclusive="left") & frame["label"].notna()


def rows_to_test(frame: pd.DataFrame, split: Split, config: TrainConfig) -> pd.Series[bool]:
    """The rows of the test days that have a label; if ``config`` says so, without those of `known_positives`.

    Raises `SettingError` where those are what the test would need: its rows labelled 1, or all of them.
    """
    rows = frame["day"].between(split.first_test_day, split.end_day, inclusive="left") & frame["label"].notna()
    if not config.leave_out_known_positives:
        return rows
    left = rows & ~known_positives(frame, split)
    if frame["label"][rows].nunique() == 2 and frame["label"][left].nunique() < 2:
        raise SettingError(
            "leave_out_known_positives leaves out the test rows of a group with a positive that is known by then; of "
            f"{rows.sum():,} rows {left.sum():,} are left, {int(frame['label'][left].sum()):,} of them labelled 1: a positive of "
            f"most values of {config.group} is known; set it to false, or group by what is seldom positive"
        )
    return left


def test_rows(frame: pd.DataFrame, split: Split, config: TrainConfig) -> pd.DataFrame:
    """The rows of `rows_to_test`, and for each its ``baseline``: what a model without inputs says, the mean training label."""
    rows = frame[rows_to_test(frame, split, config)]
    return rows.assign(baseline=frame["label"][rows_to_train(frame, split)].mean())


def known_positives(frame: pd.DataFrame, split: Split) -> pd.Series[bool]:
    """The rows whose group had a positive that is known on the row's day: one of more than ``delay_days`` days before.

    Its source is in docs/training.md.
    """
    first_positive = frame[frame["label"] == 1].groupby("group")["day"].min()
    return frame["group"].map(first_positive) < frame["day"] - split.delay_days  # a group without any has NaN: false
