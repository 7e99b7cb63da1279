"""An explained event as a picture: an axis of time before it, the windows drawn, the rows in them and those just out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.times import DAY_MS, duration_text
from jobs.audit.drawing import Table, figure, write
from jobs.audit.explain import Explanation, Value, Windows
from jobs.audit.rows import Row
from jobs.audit.words import VALUE_COLUMNS, batch_sentence, sentences, stage_columns, stage_rows, stage_title, text, value_rows

IN, OUT, LATE, OWN, WINDOW = "#2563eb", "#9ca3af", "#dc2626", "#111827", "#dbeafe"
MOST_ROWS, MOST_NAMES = 50, 3
"""Rows of a stage in the table of a page, and features that are named at a window."""
NAME_LENGTH = 24
"""Characters of a column's name beside its axis."""
UNITS = ((DAY_MS, "days"), (3_600_000, "hours"), (60_000, "minutes"), (1000, "seconds"), (1, "milliseconds"))
WIDE = 40
"""Where the longest window is as many times the shortest, the axis is logarithmic: or else the shortest would be a line."""


def draw(explained: Explanation, out: Path) -> None:
    """Write the picture: ``out`` ends in .html, .svg or .png."""
    title, *said = sentences(explained)
    ratios = [height for stage in explained.windows for height in _heights(explained, stage)]
    if explained.batch:
        ratios.append(0.6 + 0.3 * len(explained.batch))
    with figure(10, 0.6 + sum(ratios)) as drawing:
        axes: Any = drawing.subplots(len(ratios), 1, height_ratios=ratios, squeeze=False)[:, 0] if ratios else ()
        for place, stage in enumerate(explained.windows):
            _stage(explained, stage, *axes[2 * place : 2 * place + 2])
        if explained.batch:
            _batch(axes[-1], explained)
        drawing.suptitle(title, x=0.01, ha="left", fontweight="bold")
        values = Table("Values", VALUE_COLUMNS, list(value_rows(explained)))
        rows = [
            Table(stage_title(stage), stage_columns(stage), list(stage_rows(explained, stage, MOST_ROWS)))
            for stage in explained.windows
        ]
        write(out, drawing, title, [values, *rows], [*said, *(batch_sentence(explained, row) for row in explained.batch)])


def _heights(explained: Explanation, stage: Windows) -> tuple[float, float]:
    """Of the bars of the windows, and of the rows, in inches."""
    return 0.45 + 0.3 * len(_by_window(explained, stage)), 1.7


def _by_window(explained: Explanation, stage: Windows) -> dict[int, list[Value]]:
    """The features of each window, the longest first."""
    found = defaultdict(list)
    for value in explained.values:
        if value.of == stage.stage and value.window_ms is not None:
            found[value.window_ms].append(value)
    return dict(sorted(found.items(), reverse=True))


def _stage(explained: Explanation, stage: Windows, above: Any, below: Any) -> None:
    windows = _by_window(explained, stage)
    size, unit = next((size, unit) for size, unit in UNITS if stage.longest_ms >= 2 * size or size == 1)
    ages = [(row.event_time - explained.event_time) / size for row in stage.rows]
    first = min([-1.08 * stage.longest_ms / size, *ages])
    last = max([0.04 * stage.longest_ms / size, *ages])
    for axes in (above, below):
        if max(windows) >= WIDE * min(windows):
            axes.set_xscale("symlog", linthresh=min(windows) / size)
            axes.set_xticks([-length / size for length in windows] + [0], [*map(duration_text, windows), "0"])
        axes.set_xlim(first * 1.02, last * 1.05)
        axes.axvline(0, color=OWN, linewidth=1)
        for length in windows:
            axes.axvline(-length / size, color=OUT, linewidth=0.6, linestyle=":")
    _bars(above, windows, size)
    above.set_title(stage_title(stage), loc="left", fontsize=9)
    _rows(below, explained, stage, ages)
    below.set_xlabel(f"{unit} before the event (0); a row exactly as old as a window is out")


def _bars(axes: Any, windows: dict[int, list[Value]], size: int) -> None:
    """A bar for each window, with what it came to."""
    for place, (length, values) in enumerate(windows.items()):
        axes.barh(place, length / size, left=-length / size, height=0.8, color=WINDOW)
        names = [_said(value) for value in values[:MOST_NAMES]] + ["…"] * (len(values) > MOST_NAMES)
        said = f"{duration_text(length)}, {values[0].rows or 0:,} rows: {'; '.join(names)}"
        axes.annotate(said, (0, place), xytext=(-4, 0), textcoords="offset points", ha="right", va="center", fontsize=8)
    axes.set_yticks([])
    axes.invert_yaxis()
    axes.tick_params(labelbottom=False)
    axes.spines["left"].set_visible(False)


def _batch(axes: Any, explained: Explanation) -> None:
    """A bar for each batch view, up to the day of its row: that which was served, and that of history where it is another."""
    rows = explained.batch
    days = [
        [None if as_of is None else (as_of - explained.event_time) / DAY_MS for as_of in (row.served_as_of, row.as_of)]
        for row in rows
    ]
    first = 1.6 * min([-1.0, *(day for pair in days for day in pair if day is not None)])
    for place, (row, (served, true)) in enumerate(zip(rows, days, strict=True)):
        if true is not None:
            axes.barh(place, true - first, left=first, height=0.7, color=WINDOW)
            axes.scatter([true], [place], marker="|", s=90, color=IN, zorder=3)
        if served is not None and served != true:
            axes.scatter([served], [place], marker="x", s=40, color=LATE, zorder=4)
        said = f"{row.view}: all {row.source} before its day" if true is not None else f"{row.view}: {row.incomplete}"
        said += "" if served == true or explained.prediction is None else f"; served {row.served_incomplete or 'an older one'}"
        axes.annotate(said, (first, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.axvline(0, color=OWN, linewidth=1)
    axes.set_xlim(first, -0.05 * first)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title("batch views", loc="left", fontsize=9)
    axes.set_xlabel("days before the event (0)")


def _said(value: Value) -> str:
    name = value.feature.partition("__")[2]
    if not value.was_served or value.served == value.recomputed:
        return f"{name} {text(value.recomputed)}"
    return f"{name} {text(value.recomputed)}, served {text(value.served)}"


def _rows(axes: Any, explained: Explanation, stage: Windows, ages: Sequence[float]) -> None:
    """A dot for each row, at the value of the first column of numbers."""
    column = next((name for name in stage.columns if any(_is_number(row.values[name]) for row in stage.rows)), None)
    late = {(row.event_id, row.event_time) for row in stage.late}
    kinds = {
        "in a window": (IN, IN, "o"),
        "out": ("none", OUT, "o"),
        "late: came after the event had its vector": (LATE, LATE, "^"),
        "the event": (OWN, OWN, "D"),
    }
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row, age in zip(stage.rows, ages, strict=True):
        value = row.values[column] if column else None
        found[_kind(explained, row, late)].append((age, float(value or 0) if _is_number(value) else 0.0))
    for kind, (face, edge, marker) in kinds.items():
        if found[kind]:
            x, y = zip(*found[kind], strict=True)
            label = f"{kind} ({len(x):,})"
            axes.scatter(x, y, s=22, facecolors=face, edgecolors=edge, marker=marker, label=label, zorder=3)
    axes.set_ylabel((column or "row")[:NAME_LENGTH])
    if not column:
        axes.set_yticks([])
    if stage.rows:
        axes.margins(y=0.35)
        axes.legend(frameon=False, loc="upper left", ncols=4, fontsize=7)


def _kind(explained: Explanation, row: Row, late: set[tuple[int | str, int]]) -> str:
    if row.where != "in":
        return "out"
    if (row.event_id, row.event_time) in late:
        return "late: came after the event had its vector"
    own = row.event_id == explained.event_id and row.event_time == explained.event_time
    return "the event" if own else "in a window"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
