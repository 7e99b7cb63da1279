"""`headrace monitor --once`: a version against history, without Kafka."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import duckdb
import pytest

from features.definitions.load import load
from infra.cli import run
from infra.models import references, registering
from infra.train_settings import TrainSettings
from jobs.training.split import Split
from jobs.training.train import train
from serving.models.registry import Registry
from tests.support.num import num_project

pytestmark = pytest.mark.slow

AMOUNT = "transaction_amount__amount"


@pytest.fixture(scope="module")
def project(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a version in production that was trained on a week of April, and a history in which a unit has changed."""
    folder = Path(shutil.copytree(small_data, tmp_path_factory.mktemp("watched") / "project"))
    registry = Registry(folder / "models")
    config = TrainSettings(label="labels.is_fraud", trees=5).config
    train(load(folder).service("handbook"), config, Split(date(2018, 4, 20), 7, 7, 7), register=registering(registry))
    registry.set_alias("handbook", "production", 1)
    cents = "amount * (CASE WHEN event_time >= TIMESTAMP '2018-05-08' THEN 100 ELSE 1 END)"
    duckdb.sql(
        f"COPY (SELECT * REPLACE (CAST({cents} AS DECIMAL(12, 2)) AS amount) FROM '{folder}/data/transactions.parquet') "
        f"TO '{folder}/cents.parquet'"
    )
    return folder


@pytest.fixture(autouse=True)
def few_events(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation's days are small."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("HEADRACE_MONITOR__MIN_EVENTS", "100")


WORDS = ["monitor", "handbook", "--from", "2018-05-04", "--to", "2018-05-13"]


def test_a_stationary_history_raises_no_alarm(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each input and the score, of nine days."""
    assert run([*WORDS, "--once"]) == 0
    said = capsys.readouterr().out
    assert "handbook v1 of service handbook, trained on 2018-04-20" in said
    assert "in 9 windows of a day, the last from 2018-05-12 00:00:00 on" in said
    plan = load(project).service("handbook").plan
    shown = [line.split()[0] for line in said.splitlines() if " of 9 " in line]
    assert shown == [*plan.inputs, "score"]
    assert "has drifted" not in said


def test_a_unit_that_changed_is_an_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the day it changed, said on the day after; JSON has every window with its counters."""
    assert run([*WORDS, "--history", "transactions=cents.parquet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (alarm,) = [one for one in found["alarms"] if one["input"] == AMOUNT]
    assert (alarm["state"], alarm["what"]) == ("open", "out_of_range")
    assert "since 2018-05-08 00:00:00" in alarm["text"]
    assert alarm["window_end"] - alarm["since"] == 2 * 86_400_000
    assert [len(window["findings"]) for window in found["windows"]] == [len(found["windows"][0]["counts"])] * 9
    assert all(sum(counts) == window["rows"] for window in found["windows"] for counts in window["counts"].values())


def test_the_picture_is_drawn(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the inputs' names, and, as a page, the alarms."""
    assert run([*WORDS, "--history", "transactions=cents.parquet", "--picture", "drift.html"]) == 0
    assert "→ drift.html" in capsys.readouterr().out
    page = (project / "drift.html").read_text()
    assert AMOUNT in page
    assert "has drifted since 2018-05-08" in page


def test_windows_with_few_predictions_are_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """By hours of some ten predictions nothing can be said."""
    monkeypatch.setenv("HEADRACE_MONITOR__WINDOW", "hour")
    assert run([*WORDS, "--once"]) == 0
    said = capsys.readouterr()
    assert "windows have fewer than 100 predictions (monitor.min_events)" in said.err
    assert "PSI" not in said.out


def test_a_version_without_a_reference_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that was added, or that an older Headrace trained."""
    assert run(["monitor", "num", "--once", "--project", str(num_project(tmp_path / "num"))]) == 2
    assert "a version is held against the rows that it was trained on; num v1 came without them" in capsys.readouterr().err


def test_a_version_that_is_gone_has_no_reference(project: Path) -> None:
    """Its predictions are on their topic for longer: a monitor passes over them."""
    given = references(Registry(project / "models"))
    assert given("handbook", 1) is not None
    assert (given("handbook", 99), given("nobody", 1), given("../x", 1)) == (None, None, None)


def test_rules_that_cannot_be_are_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """More windows that drifted than are looked at."""
    monkeypatch.setenv("HEADRACE_MONITOR__WINDOWS_NEEDED", "4")
    assert run([*WORDS, "--once"]) == 2
    assert "windows_needed are some of windows_looked_at" in capsys.readouterr().err
