"""An audit as a picture: how many values differ, by cause, over time and by feature."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.times import DAY_MS, moment_text
from jobs.audit.audit import Audit
from jobs.audit.compare import HOUR_MS
from jobs.audit.comparison import CAUSE_NAMES, CAUSES, Cause, causes_shown
from jobs.audit.drawing import Table, figure, write

COLORS: dict[Cause, str] = {
    "late_row": "#60a5fa",
    "late_batch_row": "#2dd4bf",
    "changed_definition": "#c084fc",
    "incomplete": "#9ca3af",
    "began_empty": "#fbbf24",
    "unexplained": "#dc2626",
}
BARS = 120
"""The most that are drawn; then they are of more hours each."""


def draw(audit: Audit, out: Path) -> None:
    """Write the picture of an audit: ``out`` ends in .html, .svg or .png."""
    found = audit.found
    names = [feature.name for feature in found.features]
    title = f"{audit.service}: served and true, {moment_text(audit.start)} to {moment_text(audit.end)} UTC"
    with figure(10, 3.6 + 0.22 * max(4, len(names))) as drawing:
        above, below = drawing.subplots(2, 1, height_ratios=(3, max(4, len(names)) * 0.22))
        _over_time(above, audit)
        _by_feature(below, audit)
        drawing.suptitle(title, x=0.01, ha="left", fontweight="bold")
        shown = causes_shown(found.features)
        columns = ("feature", "values", "differing", *map(CAUSE_NAMES.__getitem__, shown))
        rows = [
            (one.name, f"{one.values:,}", f"{one.differing:,}", *(f"{one.causes[cause]:,}" for cause in shown))
            for one in found.features
        ]
        write(out, drawing, title, [Table("By feature", columns, rows)], [summary(audit)])


def summary(audit: Audit) -> str:
    """An audit in one sentence."""
    found = audit.found
    values = sum(feature.values for feature in found.features)
    return (
        f"{audit.served:,} events with a receipt, {found.events:,} of them in history: of {values:,} values {found.differing:,} "
        f"differ, {found.unexplained:,} of them unexplained"
    )


def bar_ms(start: int, end: int) -> int:
    """How long a bar is: an hour, a day, or as many days as leave `BARS` of them."""
    for size in (HOUR_MS, 6 * HOUR_MS, DAY_MS):
        if end - start <= BARS * size:
            return size
    return -(-(end - start) // (BARS * DAY_MS)) * DAY_MS


def _over_time(axes: Any, audit: Audit) -> None:
    size = bar_ms(audit.start, audit.end)
    bars: Mapping[int, dict[Cause, int]] = defaultdict(lambda: dict.fromkeys(CAUSES, 0))
    values: dict[int, int] = defaultdict(int)
    for start, hour in audit.found.hours.items():
        at = start // size * size
        values[at] += hour.values
        for cause, count in hour.causes.items():
            bars[at][cause] += count
    times = sorted(values)
    bottom = [0.0] * len(times)
    for cause in CAUSES:
        shares = [100 * bars[at][cause] / values[at] for at in times]
        if any(shares):
            label = f"{CAUSE_NAMES[cause]}: {sum(bars[at][cause] for at in times):,}"
            moments = [datetime.fromtimestamp(at / 1000, UTC) for at in times]
            width = size / DAY_MS * 0.9
            axes.bar(moments, shares, bottom=bottom, width=width, align="edge", color=COLORS[cause], label=label)
            bottom = [below + share for below, share in zip(bottom, shares, strict=True)]
    axes.set_xlim(datetime.fromtimestamp(audit.start / 1000, UTC), datetime.fromtimestamp(audit.end / 1000, UTC))
    axes.set_ylabel("% of values that differ")
    axes.set_ylim(0, max(bottom, default=0.0) * 1.15 or 1)
    if any(bottom):
        axes.legend(frameon=False, ncols=len(CAUSES), loc="upper left", fontsize="small")
    else:
        axes.text(0.5, 0.5, "no value differs", transform=axes.transAxes, ha="center", color="#6b7280")


def _by_feature(axes: Any, audit: Audit) -> None:
    features = audit.found.features
    places = range(len(features))
    left = [0.0] * len(features)
    for cause in CAUSES:
        shares = [100 * one.causes[cause] / max(1, one.values) for one in features]
        axes.barh(places, shares, left=left, color=COLORS[cause], height=0.7)
        left = [before + share for before, share in zip(left, shares, strict=True)]
    axes.set_yticks(places, [one.name for one in features])
    axes.invert_yaxis()
    axes.set_xlim(0, max(left, default=0.0) * 1.05 or 1)
    axes.set_xlabel("% of the feature's values that differ")
