"""What `headrace serve` hands its page: what the monitor and `headrace outcomes` left in the project's run folder."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.definitions.load import load
from features.errors import SettingError
from infra.cli import run
from infra.cli.page import sources_of
from infra.cli.page_explain import Explaining
from infra.config import monitor_config
from infra.local import stack
from infra.models import registry_of
from infra.settings import load_settings, run_folder
from serving.http.page.panel import Empty
from serving.http.page.panels import panels
from serving.http.page.sources import Sources
from serving.monitor.state import State, write_state
from tests.infra.cli.test_outcomes import project

__all__ = ["project"]


def sources(project: Path) -> Sources:
    """As `headrace serve` makes them, without Kafka."""
    settings = load_settings(project)
    return sources_of(project, settings, [load(project).service("num")], registry_of(project, settings), None)


def test_of_a_project_where_nothing_ran_every_panel_says_what_to_do(project: Path) -> None:
    """Those that read the run folder, and the log without a retrain."""
    given = sources(project)
    empty = {panel.name: read for panel in panels() if isinstance(read := panel.read(given, "num"), Empty)}
    for name in ("scores", "drift", "values", "alarms", "performance", "calibration", "challengers"):
        assert empty[name].command.startswith("headrace "), name


def test_what_was_left_is_found(project: Path) -> None:
    """Where the monitor saves its state, of the settings' windows, and where `headrace outcomes` leaves its report."""
    (project / "headrace.toml").write_text((project / "headrace.toml").read_text() + '\n[monitor]\nwindow = "hour"\n')
    settings, of = load_settings(project), ["--project", str(project)]
    folders = stack.Folders(run_folder(project, settings))
    config = monitor_config(settings.monitor, "num", client={}, state=folders.monitor)
    write_state(config.state, State("num", config.rules.window, events=7))
    assert run(["outcomes", "num", "--predictions", str(project / "predictions.jsonl"), "--delay", "1", *of]) == 0
    given = sources(project)
    seen, report = given.monitored.seen("num"), given.outcomes.report("num")
    assert seen is not None
    assert (seen.state.events, seen.length_ms, seen.silent_since) == (7, 3_600_000, None)
    assert report is not None
    assert report.source == str(project / "predictions.jsonl")


def test_an_explanation_that_runs_is_ended_with_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is gone at once, and so is one that begins while the service ends."""
    begun, slow = tmp_path / "begun", tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho > {begun}\nexec sleep 600\n")
    slow.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(slow))
    explain = Explaining(tmp_path)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(explain, "num", "1")
        while not begun.exists():
            assert not running.done()
            time.sleep(0.01)
        explain.close()
        with pytest.raises(SettingError, match="it gave no reason"):
            running.result(60)
    with pytest.raises(SettingError, match="it gave no reason"):
        explain("num", "1")
