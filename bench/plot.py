"""Events a second against events a key, as ``docs/hot_keys.svg``: ``.venv-bench/bin/python -m bench.plot``.

Drawn from ``bench/results/hot_keys.json``. Runs in ``.venv-bench`` and imports nothing of Headrace.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results" / "hot_keys.json"
PLOT = ROOT / "docs" / "hot_keys.svg"
SETTINGS = {
    "svg.hashsalt": "headrace",  # equal results, equal file
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
OURS, PEERS = "#c2410c", ("#1e40af", "#0e7490", "#6d28d9", "#4b5563")
MARKERS = "os^Dv"


def main() -> None:
    """Draw what was measured last."""
    lines = defaultdict[str, list[tuple[int, float]]](list)
    for row in json.loads(RESULTS.read_text()):
        if row["unit"] == "events/s":
            lines[row["contender"]].append((row["held"], row["value"]))
    mpl.use("svg")
    with mpl.rc_context(SETTINGS):
        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        for number, (name, points) in enumerate(lines.items()):
            ours = name == "Headrace"
            axes.loglog(
                *zip(*points, strict=True),
                label=name,
                marker=MARKERS[number],
                color=OURS if ours else PEERS[number - 1],
                linewidth=2.5 if ours else 1.3,
                zorder=3 if ours else 2,
            )
        axes.set_xlabel("events of a key in the longest window")
        axes.set_ylabel("events a second, on one key")
        axes.grid(which="major", color="#e5e7eb", zorder=0)
        axes.legend(frameon=False, fontsize="small", loc="lower left")
        figure.savefig(PLOT, metadata={"Date": None})
    print(f"→ {PLOT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
