"""The dashboard for Grafana and the alerts for Prometheus: valid, and of metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "grafana"
METRIC = re.compile(r"\bheadrace_[a-z_]+")
OF_A_KIND = re.compile(r"_(bucket|sum|count|total)$")
PREFIXES = ("headrace_monitor_", "headrace_stream_checkpoint_")
"""Of names that the code puts together."""
VARIABLES = {"$__rate_interval": "5m", "$service": "s"}


def panels() -> list[dict[str, Any]]:
    """Those of the dashboard that show something."""
    found = json.loads((FOLDER / "dashboard.json").read_bytes())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """What the dashboard looks up, its variables filled in."""
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            yield text


def is_exposed(metric: str, sources: list[str]) -> bool:
    """Whether the code names it, whole or behind one of the prefixes."""
    names = {metric, OF_A_KIND.sub("", metric)}
    parts = {(prefix, name.removeprefix(prefix)) for name in names for prefix in PREFIXES if name.startswith(prefix)}
    return any(
        any(f'"{name}"' in source for name in names)
        or any(f'"{prefix}{{' in source and f'"{rest}"' in source for prefix, rest in parts)
        for source in sources
    )


def promtool(*words: str) -> str:
    """What it says; skips the test where there is none."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("needs promtool for alerts and the dashboard: apt install prometheus")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_metric_is_exposed() -> None:
    """One that is renamed is renamed here too."""
    sources = [
        path.read_text() for package in ("jobs", "serving", "infra", "features") for path in (ROOT / package).rglob("*.py")
    ]
    texts = [*expressions(), (FOLDER / "alerts.yml").read_text()]
    metrics = {name for text in texts for name in METRIC.findall(text)}
    assert len(metrics) > 20
    assert [name for name in sorted(metrics) if not is_exposed(name, sources)] == []
    assert not is_exposed("headrace_monitor_nothing", sources)


def test_panels_say_what_they_are() -> None:
    """Each has a description, and says what to do where it is empty; none covers another."""
    covered = set[tuple[int, int]]()
    for panel in panels():
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["noValue"]
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & covered
        covered |= cells
    assert max(x for x, _ in covered) < 24


def test_the_dashboard_looks_up_what_prometheus_understands(tmp_path: Path) -> None:
    """Its expressions, as rules."""
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_alerts_are_raised_by_what_they_are_of() -> None:
    """By each its own series, and by none that is well; the settings for Prometheus are valid."""
    promtool("check", "config", str(FOLDER / "prometheus.yml"))
    assert "SUCCESS" in promtool("test", "rules", str(FOLDER / "alerts_test.yml"))
    alerts = set(re.findall(r"alert: (\w+)", (FOLDER / "alerts.yml").read_text()))
    assert alerts == set(re.findall(r'alertname="(\w+)"', (FOLDER / "alerts_test.yml").read_text()))
