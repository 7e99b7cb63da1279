"""What `headrace outcomes` leaves for others to read: how right the predictions of a service were, as it found them."""

from __future__ import annotations

from typing import Literal

import msgspec

CohortKind = Literal["matured", "version", "segment", "day"]
"""Which events are measured together: all whose labels are due, ``matured``, or of these those of one version, segment or day."""


class Measure(msgspec.Struct, frozen=True):
    """A number and its 95 % interval; none where there are too few keys or days to tell one."""

    value: float
    low: float | None
    high: float | None


class Cohort(msgspec.Struct, frozen=True):
    """The predictions of some events whose labels are due."""

    kind: CohortKind
    name: str
    rows: int
    """Events that were predicted."""
    labelled: int
    """Those whose label is known."""
    metrics: dict[str, Measure]
    """Of the labelled ones."""
    column: str = ""
    """Of a segment, the column whose values these are."""


class WaitingDay(msgspec.Struct, frozen=True):
    """A day whose labels are not due: nothing is measured of it. Days are ``YYYY-MM-DD``, UTC."""

    name: str
    rows: int
    labelled: int
    """Labels that are known already."""
    due: str
    """The day of whose labels one has to be there, for this day's to be due."""


class CalibrationBin(msgspec.Struct, frozen=True):
    """Events whose scores are alike."""

    lowest: float
    highest: float
    rows: int
    mean_score: float
    mean_label: Measure
    """Of a classification the share of label 1."""


class Calibration(msgspec.Struct, frozen=True):
    """What was said, and what happened, over bins of the scores."""

    name: str
    """``all``, or the version."""
    bins: list[CalibrationBin]


class OutcomesReport(msgspec.Struct, frozen=True):
    """All of it. Times are UTC milliseconds."""

    service: str
    source: str
    """The topic of the predictions, or their file."""
    label: str
    task: Literal["classification", "regression"]
    segments: list[str]
    """The columns by whose values there are segments."""
    made_at: int
    delay_days: int
    """Days until labels are known."""
    matured_until: str
    """The labels of event days before this one are due."""
    predictions: int
    matured: int
    """Predictions of days that are due."""
    cohorts: list[Cohort]
    waiting: list[WaitingDay]
    """The newest, oldest first."""
    calibration: list[Calibration]
    """None of a classification whose scores are not chances."""
