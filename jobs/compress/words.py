"""What was measured, in words for a person."""

from __future__ import annotations

import math
from collections.abc import Mapping

from jobs.compress.choose import Measured
from jobs.compress.compress import Compression
from jobs.compress.measure import BATCHES
from jobs.training.bootstrap import Interval

COLUMNS = ("model", "version", "size", "memory", *(f"batch {size}" for size in BATCHES), "metric", "differs by", "scores differ")
"""Of `rows`: the original's row first."""


def rows(found: Compression, versions: Mapping[int, int]) -> list[tuple[str, ...]]:
    """A row for each model; ``versions`` are those that became one, by their place."""
    metric = found.rule.metric
    return [(found.original.name, "", *_cells(found.original, metric))] + [
        (
            f"{one.name}{' *' if place in found.front else ''}",
            f"v{versions[place]}" if place in versions else "",
            *_cells(one, metric),
        )
        for place, one in enumerate(found.candidates)
    ]


def bytes_text(size: float) -> str:
    """A number of bytes.

    >>> bytes_text(900), bytes_text(2_345), bytes_text(-3_200_000)
    ('900 B', '2.3 kB', '-3.2 MB')
    """
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if abs(size) >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size:.0f} B"


def interval_text(interval: Interval) -> str:
    """Between which two a difference lies."""
    return "unknown" if math.isnan(interval.low) else f"{interval.low:+.4f} to {interval.high:+.4f}"


def _cells(one: Measured, metric: str) -> tuple[str, ...]:
    times = (f"{one.milliseconds[size]:.3f} ms" for size in BATCHES)
    cells = (bytes_text(one.size), bytes_text(one.memory), *times, f"{one.metrics[metric]:.4f}")
    if one.agreement is None:
        return (*cells, "", "")
    return (*cells, interval_text(one.intervals[metric]), f"{one.agreement.mean:.2g}, at most {one.agreement.largest:.2g}")
