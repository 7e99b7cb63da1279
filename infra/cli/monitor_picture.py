"""The picture of ``headrace monitor``: how far each input was from its limit in each window, and histograms of the furthest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.times import moment_text
from jobs.audit import drawing

if TYPE_CHECKING:
    from infra.monitoring import Drift
    from serving.monitor.judge import Finding
    from serving.monitor.state import Verdict

HISTOGRAMS = 3
"""So many inputs are shown with their values."""
TRAINED, FOUND = "#9ca3af", "#2563eb"


def draw(found: Drift, out: Path) -> None:
    """Write the picture; a page has the alarms as a table too."""
    verdicts = [verdict for verdict in found.verdicts if verdict.findings]
    title = f"{found.manifest.placed}: live predictions against training"
    furthest = _furthest(verdicts)
    with drawing.figure(10, 1.2 + 0.24 * len(found.inputs) + 1.9 * len(furthest)) as made:
        heights = [0.24 * len(found.inputs) + 0.8, *([1.6] * len(furthest))]
        axes = made.subplots(1 + len(furthest), 1, gridspec_kw={"height_ratios": heights}, squeeze=False)[:, 0]
        _heat_map(axes[0], found, verdicts)
        for axis, (verdict, finding) in zip(axes[1:], furthest, strict=True):
            _histogram(axis, found, verdict, finding)
        alarms = [(one.state, one.input, moment_text(one.since), f"{one.psi:.3f}", one.text) for one in found.alarms]
        table = drawing.Table("Alarms", ("state", "input", "since", "PSI", "what"), alarms)
        drawing.write(out, made, title, [table])


def _furthest(verdicts: list[Verdict]) -> list[tuple[Verdict, Finding]]:
    """Of the inputs whose index was largest beside its limit, the window where it was."""
    best: dict[str, tuple[Verdict, Finding]] = {}
    for verdict in verdicts:
        for finding in verdict.findings:
            if finding.limit is not None and (finding.input not in best or _ratio(finding) > _ratio(best[finding.input][1])):
                best[finding.input] = verdict, finding
    return sorted(best.values(), key=lambda one: -_ratio(one[1]))[:HISTOGRAMS]


def _ratio(finding: Finding) -> float:
    return finding.psi / finding.limit if finding.limit else 0.0


def _heat_map(axis: Any, found: Drift, verdicts: list[Verdict]) -> None:
    """Colour: the index as a multiple of its limit; a dot: it drifted."""
    ratios = np.full((len(found.inputs), max(1, len(verdicts))), np.nan)
    for column, verdict in enumerate(verdicts):
        for finding in verdict.findings:
            row = found.inputs.index(finding.input)
            ratios[row, column] = _ratio(finding) if finding.limit is not None else np.nan
            if finding.drifted:
                axis.plot(column, row, "o", color="#111827", markersize=3)
    image = axis.imshow(ratios, aspect="auto", cmap="OrRd", vmin=0, vmax=2, interpolation="nearest")
    axis.figure.colorbar(image, ax=axis, label="PSI / limit", extend="max")
    axis.set_yticks(range(len(found.inputs)), found.inputs)
    marks = np.unique(np.linspace(0, len(verdicts) - 1, min(len(verdicts), 8)).round().astype(int)) if verdicts else []
    starts = [datetime.fromtimestamp(verdicts[mark].start / 1000, UTC) for mark in marks]
    axis.set_xticks(marks, [f"{start:%m-%d}" if start.hour == 0 else f"{start:%m-%d\n%H:%M}" for start in starts])
    axis.set_title("Each input in each window; a dot: it drifted", loc="left")


def _histogram(axis: Any, found: Drift, verdict: Verdict, finding: Finding) -> None:
    histogram = next(one for one in found.reference.histograms if one.name == finding.input)
    places = np.arange(histogram.bins.size)
    for counts, offset, colour, label in (
        (histogram.counts, -0.2, TRAINED, "training"),
        (verdict.counts[finding.input], 0.2, FOUND, f"{verdict.rows:,} predictions from {moment_text(verdict.start)}"),
    ):
        axis.bar(places + offset, np.array(counts) / max(1, sum(counts)), 0.4, color=colour, label=label)
    axis.set_xticks(places, histogram.bins.labels, rotation=20, fontsize=7, ha="right")
    axis.set_ylabel("share")
    limit = "no limit" if finding.limit is None else f"limit {finding.limit:.3f}"
    axis.set_title(f"{finding.input}: PSI {finding.psi:.3f}, {limit}", loc="left")
    axis.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
