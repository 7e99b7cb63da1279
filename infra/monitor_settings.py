"""``[monitor]``: what a monitor is told by the settings."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from infra.section import Section


class MonitorSettings(Section):
    """The monitors, `headrace monitor`: whether models still see and say what they did in training (docs/monitoring.md)."""

    run: bool = False
    """Whether `headrace up` runs a monitor of each service."""
    window: Literal["hour", "day"] = "day"
    """What predictions are counted by: UTC hours or UTC days of event time."""
    wait_ms: int = Field(default=3_600_000, ge=0)
    """How far the newest event is beyond a window when it is closed; a prediction that comes later still is in no window."""
    min_events: int = Field(default=500, ge=1)
    """How many predictions of a version a window has, for anything to be said of it."""
    min_psi: float = Field(default=0.02, ge=0, allow_inf_nan=False)
    """A window with a smaller population stability index has not drifted, however unlikely it is; 0.02 is as a mean that moved by
    0.14 standard deviations."""
    false_discoveries: float = Field(default=0.05, gt=0, lt=1)
    """Of the inputs that are found to drift in a window, the share that may be found by chance (Benjamini & Hochberg 1995)."""
    windows_needed: int = Field(default=2, ge=1)
    """An alarm opens when so many of the last windows drifted, and closes once so many in a row did not."""
    windows_looked_at: int = Field(default=3, ge=1, le=100)
    """How many of the last windows are looked at."""
    kept_windows: int = Field(default=35, ge=1, le=10_000)
    """How many closed windows of each version are kept; one that predicts nothing for so long is forgotten."""
    max_poll_records: int = Field(default=5000, ge=1)
    """How many predictions are counted at once, at most."""
    discovery_ms: int = Field(default=10_000, ge=100)
    """How often a monitor looks for new partitions of the predictions' topic."""
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """The port of this machine's loopback on which a monitor's metrics are, for Prometheus; 0: a free one, which
    `headrace status` shows, and which several services need; none: there are no metrics."""

    @model_validator(mode="after")
    def _needed_of_looked_at(self) -> Self:
        if self.windows_needed > self.windows_looked_at:
            raise ValueError("windows_needed are some of windows_looked_at; set it to fewer, or look at more")
        return self
