"""Which days are matured: the labels of their rows are due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from features.errors import SettingError
from features.service import Service
from features.times import DAY_MS
from jobs.history.labels import check_label
from jobs.history.newest import newest_ms
from jobs.history.places import Written
from jobs.training.split import Split


def matured_until(service: Service, label: str, delay_days: int, histories: Mapping[str, Written] | None = None) -> int:
    """The day (since 1970) before which every day is matured, and in history whole.

    The newest day of the label's source, and of the spine, may lack rows that are yet to come. Of the days before that of the
    label's source, the labels due are those of ``delay_days`` days earlier. What counts is what history has, not today's date.
    """
    spine = service.plan.spine_source
    source, _ = check_label(service, label)
    newest_event = newest_ms(service, spine, histories) // DAY_MS
    newest_label = newest_event if source.name == spine.name else newest_ms(service, source, histories) // DAY_MS
    return min(newest_event, newest_label - delay_days)


def newest_split(
    service: Service,
    label: str,
    *,
    days: int,
    delay_days: int,
    test_days: int,
    until: date | None = None,
    histories: Mapping[str, Written] | None = None,
) -> Split:
    """The newest matured days as a split: the test's are the last of them, all before ``until``.

    Raises `SettingError` for an ``until`` beyond them.
    """
    epoch = date(1970, 1, 1)
    end = epoch + timedelta(days=matured_until(service, label, delay_days, histories))
    if until is not None and until > end:
        raise SettingError(
            f"labels are due {delay_days} days after their rows: the newest matured day of history is {end - timedelta(days=1)}; "
            f"got --until {until}; write {end} or an earlier day, or bring the history up to date"
        )
    return Split((until or end) - timedelta(days=test_days + delay_days + days), days, delay_days, test_days)
