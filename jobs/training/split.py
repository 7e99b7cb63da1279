"""The days of an experiment."""

from __future__ import annotations

from datetime import date

import msgspec


class Split(msgspec.Struct, frozen=True):
    """The days of an experiment, each span following the one before."""

    train_from: date
    days: int = 7
    delay_days: int = 7
    test_days: int = 7

    @property
    def first_day(self) -> int:
        """Days since 1970 of the first day of training."""
        return (self.train_from - date(1970, 1, 1)).days

    @property
    def first_test_day(self) -> int:
        """Days since 1970 of the first day of the test."""
        return self.first_day + self.days + self.delay_days
