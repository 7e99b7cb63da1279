"""The panels of performance and of calibration: how right predictions were, as `headrace outcomes` found them last."""

from __future__ import annotations

import msgspec

from schemas.outcomes_report import Calibration, Cohort, WaitingDay
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources

MOST_DAYS, MOST_VERSIONS, MOST_SEGMENTS = 120, 20, 60
"""Cohorts that a panel shows, at most: the newest days and versions; segments of all columns."""


class Performance(msgspec.Struct, frozen=True):
    """What the panel shows. Times are UTC milliseconds, days ``YYYY-MM-DD``."""

    source: str
    label: str
    task: str
    columns: list[str]
    """By whose values there are segments."""
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


def performance(sources: Sources, service: str) -> Performance | Empty:
    """The panel of a service."""
    report = sources.outcomes.report(service)
    if report is None:
        return nothing(service)
    kinds: dict[str, list[Cohort]] = {kind: [] for kind in ("matured", "version", "segment", "day")}
    for cohort in report.cohorts:
        kinds[cohort.kind].append(cohort)
    versions, segments, days = kinds["version"][-MOST_VERSIONS:], kinds["segment"][:MOST_SEGMENTS], kinds["day"][-MOST_DAYS:]
    overall = kinds["matured"][0] if kinds["matured"] else None
    return Performance(
        source=report.source,
        label=report.label,
        task=report.task,
        columns=list(dict.fromkeys(one.column for one in segments)),
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


def calibration(sources: Sources, service: str) -> Calibrations | Empty:
    """The panel of a service."""
    report = sources.outcomes.report(service)
    if report is None:
        return nothing(service)
    if not report.matured:
        due = f"No label of these predictions is due yet: those of event days before {report.matured_until} are."
        return Empty(due, f"headrace outcomes {service}")
    if not report.calibration:
        return Empty("Calibration is of scores that are chances, in [0, 1], and these are not.")
    shown = report.calibration[:1] + report.calibration[1:][-MOST_VERSIONS:]
    return Calibrations(report.label, report.task, report.made_at, report.matured_until, shown)


def nothing(service: str) -> Empty:
    """What to do where nobody has joined predictions with their labels yet."""
    return Empty("Nobody has joined predictions with their labels yet.", f"headrace outcomes {service}")


SOURCE = "the report of 'headrace outcomes'"
PERFORMANCE = Panel("performance", SOURCE, performance, 5)
CALIBRATION = Panel("calibration", SOURCE, calibration, 5)
