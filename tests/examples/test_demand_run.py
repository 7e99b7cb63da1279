"""The end-to-end run of the demand example: event-time mode, keys of strings, late rows and a regression."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.demand import demand_project

pytestmark = pytest.mark.stack

SMALL = {
    "HEADRACE_RUN__TRAIN_FROM": "2026-02-10",
    "HEADRACE_RUN__TRAIN_DAYS": "3",
    "HEADRACE_RUN__START": "2026-02-14",
    "HEADRACE_RUN__DAYS": "1",
    "HEADRACE_RUN__RATE": "600",
    "HEADRACE_STREAM__IDLE_TIMEOUT_MS": "5000",
    "HEADRACE_TRAIN__DEMAND__TREES": "40",
}
"""One published day, so that all of it has the batch rows that history gives it, and scores can be equal."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with 13 days of 8 stations."""
    folder = demand_project(tmp_path_factory.mktemp("run"), stations=8, days=13)
    settings = folder / "headrace.toml"
    settings.write_text(settings.read_text().replace('prepare = "simulate.py"\n', ""))
    return folder


def test_the_run_adds_up_to_the_bit(project: Path) -> None:
    """Every event has a prediction, none of the values differs, late rows or not, and the metrics are those of history."""
    command = [sys.executable, "-W", "ignore", "-m", "infra.cli", "run", "--project", str(project), "--json"]
    done = subprocess.run(command, env=os.environ | SMALL, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    seen, parity = report["seen"], report["parity"]
    assert report["adds_up"]
    assert seen["published"] == seen["predictions"] == parity["events"] > 500
    assert (seen["dead_letters"], seen["incomplete"]) == (0, 0)
    assert {stage["name"]: stage["differing"] for stage in parity["stages"]} == {
        "rentals_by_station_bike": 0,
        "rentals_by_station": 0,
        "weather_by_district": 0,
    }
    assert report["streamed"] == pytest.approx(report["batch"], rel=1e-6)
    assert report["streamed"]["mae"] < report["streamed"]["mae_of_mean"]
