"""What was found, as a file that others read: `schemas.outcomes_report`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from features.inputs.signature import Task
from features.times import DAY_MS, day_of
from jobs.outcomes.calibration import calibrations, measure
from jobs.outcomes.performance import Performance
from schemas.outcomes_report import Cohort, OutcomesReport, WaitingDay

MOST_WAITING = 90
"""Days whose labels are not due that a report has, at most."""


def report(
    outcomes: pd.DataFrame,
    found: Sequence[Performance],
    *,
    service: str,
    source: str,
    label: str,
    task: Task,
    key: str | None,
    segments: Sequence[str],
    delay_days: int,
    matured_until: int,
    now_ms: int,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> OutcomesReport:
    """The report of ``outcomes``, all of them, of which ``found`` is what was measured of those before ``matured_until``, ms."""
    if on_progress:
        on_progress("measuring the calibration", 0, 1)
    matured = outcomes[outcomes["event_time"] < matured_until]
    return OutcomesReport(
        service=service,
        source=source,
        label=label,
        task=task,
        segments=list(segments),
        made_at=now_ms,
        delay_days=delay_days,
        matured_until=str(day_of(matured_until)),
        predictions=len(outcomes),
        matured=len(matured),
        cohorts=[_cohort(one) for one in found],
        waiting=_waiting(outcomes[outcomes["event_time"] >= matured_until], delay_days),
        calibration=calibrations(matured, task, key),
    )


def _cohort(one: Performance) -> Cohort:
    metrics = {name: measure(interval) for name, interval in one.metrics.items()}
    return Cohort(one.kind, one.name, one.rows, one.labelled, metrics, one.column)


def _waiting(rows: pd.DataFrame, delay_days: int) -> list[WaitingDay]:
    """A day's labels are due once there is one of a day that lies more than the delay after it."""
    days = rows["label"].notna().groupby(rows["event_time"] // DAY_MS).agg(["size", "sum"])
    return [
        WaitingDay(str(day_of(day * DAY_MS)), int(size), int(known), str(day_of((day + delay_days + 1) * DAY_MS)))
        for day, size, known in days.tail(MOST_WAITING).itertuples()
    ]
