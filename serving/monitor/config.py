"""What a monitor is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from features.inputs.reference import LENGTH_MS, Length


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When a window has drifted, and when that is an alarm: keys of ``[monitor]``, with the settings' defaults and bounds."""

    window: Length
    wait_ms: int
    """How far the newest event is beyond a window when it is closed."""
    min_events: int
    """Predictions of a window below which nothing is said of it."""
    min_psi: float
    """A window with a smaller index has not drifted, however unlikely it is."""
    false_discoveries: float
    """The share of false ones among the inputs that are found to drift in a window."""
    windows_needed: int
    windows_looked_at: int
    """An alarm opens where so many of the last so many windows drifted."""
    kept_windows: int
    """Of each version, at most: what memory and the file of the state hold."""

    @property
    def length_ms(self) -> int:
        """Of a window."""
        return LENGTH_MS[self.window]


class MonitorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one monitor works with."""

    rules: Rules
    client: dict[str, Any]
    """What a kafka-python client is given: where Kafka is, and how it is spoken to."""
    isolation_level: str
    """Kafka's ``isolation.level``, of what is read."""
    group: str
    """The consumer group that offsets are told to, for others to see the lag; what counts is the state."""
    state: Path
    """The file of counters, alarms and offsets."""
    others: dict[Length, Path]
    """The files that a monitor of the service may have left by windows of another length."""
    max_poll_records: int
    discovery_ms: int
    """Between two looks for new partitions."""
    metrics_port: int | None
    """Of the loopback, where Prometheus reads metrics; 0: a free one; None: there are none."""
    ready_file: Path | None
    """Written as soon as predictions are read."""
