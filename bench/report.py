"""Results as a table and as a file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows, goals that are met in green."""
    made = Table("what", "value", "unit", "goal", "baseline", box=None, header_style="dim")
    for line in rows:
        made.add_row(
            line["name"], _value(line), line["unit"], _goal(line), "" if line["baseline"] is None else f"{line['baseline']:,}"
        )
    return made


def write(rows: Sequence[dict[str, Any]], name: str) -> Path:
    """The rows as ``bench/results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(rows, indent=2) + "\n")
    return path


def machine() -> str:
    """What the figures are of."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"


def _value(line: dict[str, Any]) -> str:
    text = f"{line['value']:,}"
    if line["goal"] is None:
        return text
    met = line["value"] >= line["goal"] if line["better"] == "higher" else line["value"] <= line["goal"]
    return f"[{'green' if met else 'red'}]{text}[/]"


def _goal(line: dict[str, Any]) -> str:
    if line["goal"] is None:
        return ""
    return f"{'≥' if line['better'] == 'higher' else '≤'} {line['goal']:,}"
