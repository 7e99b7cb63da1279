"""Freshness as a picture: the metric against age, what age loses, and what training costs."""

from __future__ import annotations

from pathlib import Path

from jobs.audit.drawing import Table, figure, write
from jobs.freshness.measure import Age, Freshness
from jobs.training.bootstrap import Interval

COLUMNS = ("age, days", "metric", "95 % interval", "lost", "95 % interval", "training, CPU s a year")
BLUE, RED, GREY = "#2563eb", "#dc2626", "#6b7280"


def cells(one: Age) -> tuple[str, ...]:
    """A row of the table, in the order of `COLUMNS`."""
    return (
        str(one.age),
        f"{one.metric.value:.4f}",
        _interval(one.metric),
        f"{one.lost.value:+.4f}",
        _interval(one.lost),
        f"{one.seconds_a_year:,.0f}",
    )


def draw(found: Freshness, out: Path) -> None:
    """Write the picture: ``out`` ends in .html, .svg or .png."""
    title = f"{found.service}: {found.metric} against the age of the data, {len(found.cut_offs)} cut-off days"
    ages = [one.age for one in found.ages]
    with figure(9, 6.5) as drawing:
        above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        for values in zip(*(found.values[age] for age in ages), strict=True):
            above.plot(ages, values, color=GREY, alpha=0.25, linewidth=0.8)
        metric = [one.metric for one in found.ages]
        above.plot(ages, [one.value for one in metric], color=BLUE, marker="o", label="mean of the cut-offs")
        above.fill_between(ages, [one.low for one in metric], [one.high for one in metric], color=BLUE, alpha=0.15)
        above.set_ylabel(found.metric)
        above.legend(frameon=False, loc="best")
        lost = [one.lost for one in found.ages]
        reach = [[one.value - one.low for one in lost], [one.high - one.value for one in lost]]
        below.errorbar(ages, [one.value for one in lost], yerr=reach, color=RED, marker="o", capsize=3, label="lost beside age 0")
        below.axhline(found.accepted, color=GREY, linestyle="--", linewidth=0.8, label=f"accepted: {found.accepted:.4f}")
        below.axhline(0, color=GREY, linewidth=0.8)
        below.set_ylabel("lost, paired by cut-off")
        below.set_xlabel("days between the newest labels that were known and those learnt from")
        cost = below.twinx()
        cost.spines["right"].set_visible(True)
        older = [one for one in found.ages if one.age]
        cost.plot([one.age for one in older], [one.seconds_a_year for one in older], color=GREY, marker="s", linestyle=":")
        cost.set_ylabel("training, CPU seconds a year (squares)")
        below.legend(frameon=False, loc="upper center", ncols=2)
        drawing.suptitle(title, x=0.01, ha="left", fontweight="bold")
        write(out, drawing, title, [Table("By age", COLUMNS, [cells(one) for one in found.ages])], [found.recommendation])


def _interval(found: Interval) -> str:
    return f"{found.low:.4f} to {found.high:.4f}"
