"""The panels of performance and of calibration: how right predictions were, as `headrace outcomes` found them last."""

from __future__ import annotations

from pathlib import Path

import msgspec

from features.errors import StackError
from schemas.outcomes_report import Calibration, Cohort, OutcomesReport, WaitingDay

MOST_DAYS, MOST_OTHERS = 120, 20
"""Cohorts that a panel shows, at most: the newest days; versions and segments."""


class Performance(msgspec.Struct, frozen=True):
    """What the panel shows. Times are UTC milliseconds, days ``YYYY-MM-DD``."""

    source: str
    label: str
    task: str
    segment: str | None
    made_at: int
    delay_days: int
    matured_until: str
    predictions: int
    matured: int
    metrics: list[str]
    """In the order in which they are worth looking at."""
    overall: Cohort | None
    """None: no day is due."""
    versions: list[Cohort]
    segments: list[Cohort]
    days: list[Cohort]
    waiting: list[WaitingDay]
    left_out: int
    """Older days, versions and segments beyond what is shown."""


class Calibrations(msgspec.Struct, frozen=True):
    """What the panel shows: of a classification shares, of a regression means."""

    label: str
    task: str
    made_at: int
    matured_until: str
    calibration: list[Calibration]


def decode_report(file: Path) -> OutcomesReport:
    """What `headrace outcomes` wrote. Raises `StackError` for a file that is none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=OutcomesReport)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StackError(f"a report is a file that 'headrace outcomes' wrote; {file} gave {error}; run it again") from None


def performance(report: OutcomesReport) -> Performance:
    """The panel of a report."""
    kinds: dict[str, list[Cohort]] = {kind: [] for kind in ("matured", "version", "segment", "day")}
    for cohort in report.cohorts:
        kinds[cohort.kind].append(cohort)
    versions, segments, days = kinds["version"][-MOST_OTHERS:], kinds["segment"][:MOST_OTHERS], kinds["day"][-MOST_DAYS:]
    overall = kinds["matured"][0] if kinds["matured"] else None
    return Performance(
        source=report.source,
        label=report.label,
        task=report.task,
        segment=report.segment,
        made_at=report.made_at,
        delay_days=report.delay_days,
        matured_until=report.matured_until,
        predictions=report.predictions,
        matured=report.matured,
        metrics=list(overall.metrics) if overall else [],
        overall=overall,
        versions=versions,
        segments=segments,
        days=days,
        waiting=report.waiting,
        left_out=len(report.cohorts) - bool(overall) - len(versions) - len(segments) - len(days),
    )


def calibration(report: OutcomesReport) -> Calibrations:
    """The panel of a report."""
    shown = report.calibration[:1] + report.calibration[1:][-MOST_OTHERS:]
    return Calibrations(report.label, report.task, report.made_at, report.matured_until, shown)
