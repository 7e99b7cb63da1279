"""A compression as a picture: what each candidate weighs and takes, and what it may have lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobs.audit.drawing import Table, figure, write
from jobs.compress.compress import Compression
from jobs.compress.judging import is_better_higher
from jobs.compress.words import COLUMNS, rows

CHOSEN, FRONT, REST, ORIGINAL = "#16a34a", "#2563eb", "#9ca3af", "#111827"


def draw(found: Compression, model: str, out: Path) -> None:
    """Write the picture: ``out`` ends in .html, .svg or .png. Size and time beside the metric's difference and its interval."""
    title = f"{model}, and what was made of it"
    with figure(11, 4.2 + 0.2 * len(found.candidates)) as drawing:
        by_size, by_time = drawing.subplots(1, 2, sharey=True)
        sizes = [one.size / 1e3 for one in (found.original, *found.candidates)]
        times = [one.milliseconds[found.rule.batch] for one in (found.original, *found.candidates)]
        _panel(by_size, found, sizes, "kB on disk")
        _panel(by_time, found, times, f"ms for a batch of {found.rule.batch}")
        name = found.rule.metric.replace("_", " ")
        by_size.set_ylabel(f"{name}, candidate less original")
        drawing.legend(*by_size.get_legend_handles_labels(), loc="outside lower left", frameon=False, fontsize="small")
        drawing.suptitle(title, x=0.01, ha="left", fontweight="bold")
        tables = [Table("Measured", COLUMNS, rows(found, {}))]
        tables += [Table("Refused", ("method", "why"), [(one.recipe, one.why) for one in found.refused])] if found.refused else []
        write(out, drawing, title, tables, [f"{found.recommendation.sentence[0].upper()}{found.recommendation.sentence[1:]}."])


def _panel(axes: Any, found: Compression, places: list[float], what: str) -> None:
    metric = found.rule.metric
    allowed = found.rule.tolerance * abs(found.original.metrics[metric])
    axes.axhline(0, color=REST, linewidth=0.8)
    axes.axhspan(0, -allowed if is_better_higher(metric) else allowed, color=REST, alpha=0.12, linewidth=0)
    axes.plot(places[:1], [0], "D", color=ORIGINAL, label="the original; the band is what may be lost")
    for place, one in enumerate(found.candidates):
        interval = one.intervals[metric]
        color = CHOSEN if place == found.recommendation.chosen else FRONT if place in found.front else REST
        axes.plot(places[place + 1 :][:1], [interval.value], "o", color=color, label=f"{place + 1}: {one.name}")
        axes.vlines(places[place + 1], interval.low, interval.high, color=color, linewidth=1.2)
        axes.annotate(str(place + 1), (places[place + 1], interval.value), xytext=(5, 4), textcoords="offset points")
    axes.set_xlim(0, max(places) * 1.08)
    axes.set_xlabel(what)
