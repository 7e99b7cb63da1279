"""Whether a version is worse than it was at training: its main metric on the newest matured days, held against its manifest's.

The days are those that a retrain would test on, the last whose labels are due. Their metric has an interval
(`jobs.training.bootstrap`); the manifest's number is one draw too, and its own spread is not in it, so that of versions that have
not decayed somewhat more than 2.5 % are found to have, each time that new days are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec
import pandas as pd

from features.service import Service
from features.times import DAY_MS, Span, day_of
from jobs.history.places import Written
from jobs.history.served import Record
from jobs.outcomes.join import join
from jobs.outcomes.performance import LOWEST_COVERAGE, frame_of, measured
from jobs.training.bootstrap import Interval
from jobs.training.config import TrainConfig
from jobs.training.keys import key_of
from jobs.training.metrics import main_metric
from jobs.training.split import Split, rows_to_test
from schemas.deployment import Placed


class Decay(msgspec.Struct, frozen=True):
    """How a version does now, and how it did at training."""

    first: date
    last: date
    """The days of the events."""
    metric: str
    higher_is_better: bool
    reference: float
    """At training."""
    found: Interval
    rows: int
    """Labelled predictions of the version."""

    @property
    def decayed(self) -> bool:
        """Whether the whole interval is worse than the reference; without an interval it is not said."""
        return self.found.high < self.reference if self.higher_is_better else self.found.low > self.reference

    @property
    def text(self) -> str:
        """The figures, as one line."""
        found = self.found
        return (
            f"{self.metric} {found.value:.4f} [{found.low:.4f}, {found.high:.4f}] of {self.rows:,} predictions from {self.first} "
            f"to {self.last}, {self.reference:.4f} at training"
        )


def decay_of(
    service: Service,
    config: TrainConfig,
    split: Split,
    placed: Placed,
    metrics: Mapping[str, float],
    records: Iterable[Record],
    *,
    horizon_ms: int,
    histories: Mapping[str, Written] | None = None,
) -> Decay | str:
    """How the version ``placed`` did on the test days of ``split``, by ``records``, predictions, beside its ``metrics``.

    The rows are those that a test has: where ``config`` leaves out known positives, so it does here, by the predictions of the
    days from ``split``'s first on. Of other days no prediction is kept in memory. ``horizon_ms``: how far a label's time may be
    from its event's. Gives a text where nothing can be said: why. Raises `SettingError` as `join` does.
    """
    main = main_metric(config.task)
    if main.key not in metrics:
        return f"{placed} has no {main.name} of its training"
    key = next(iter(key_of(service.plan, config)), None)
    columns = [key] if key is not None else []
    horizon = max(horizon_ms, (split.delay_days + 1) * DAY_MS)  # of a day's last event the labels are due by the end of a day
    first_day = split.first_day if config.leave_out_known_positives else split.first_test_day
    times = Span(first_day * DAY_MS, split.end_day * DAY_MS)
    joined = join(service, records, config.label, horizon, times=times, columns=columns, histories=histories)
    frame = frame_of(joined.table, columns).assign(day=lambda of: of["event_time"] // DAY_MS)
    days = f"from {day_of(split.first_test_day * DAY_MS)} to {day_of((split.end_day - 1) * DAY_MS)}"
    if config.leave_out_known_positives:
        frame = frame.assign(group=frame[key])
        if frame["day"].min() != split.first_day:
            return f"known positives are left out by predictions from {split.train_from} on, and there are none so early"
    rows = _of_version(frame, split, placed)
    if not len(rows):
        return f"there are no predictions of {placed} {days}"
    labelled = float(rows["label"].notna().mean())
    if labelled < LOWEST_COVERAGE:
        return f"of {len(rows):,} predictions of {placed} {days} only {labelled:.1%} have a label"
    tested = _of_version(frame[rows_to_test(frame, split, config)], split, placed)
    if config.task == "classification" and tested["label"].nunique() < 2:
        return f"the predictions of {placed} {days} have labels of one kind only"
    found = measured(tested.assign(_day=tested["day"]), config.task, key)[main.key]
    first, last = (day_of(day * DAY_MS) for day in (split.first_test_day, split.end_day - 1))
    return Decay(first, last, main.name, main.higher_is_better, metrics[main.key], found, len(tested))


def _of_version(frame: pd.DataFrame, split: Split, placed: Placed) -> pd.DataFrame:
    """The rows of the test days that a version predicted."""
    return frame[(frame["day"] >= split.first_test_day) & (frame["model"] == placed.model) & (frame["version"] == placed.version)]
