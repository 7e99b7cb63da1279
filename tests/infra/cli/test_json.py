"""``--json`` gives data: numbers as numbers, lists as lists, digests whole, and all that a table has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.cli import run
from infra.local.processes import Processes
from serving.models.registry import Registry
from tests.support.num import T, num_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project."""
    return num_project(tmp_path_factory.mktemp("json") / "num")


@pytest.fixture
def given(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command gives as JSON."""
    monkeypatch.chdir(project)

    def given(*words: str) -> Any:
        assert run([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return given


def test_a_plan_has_its_digest_inputs_and_topics(given: Any) -> None:
    """What the table shows, and the plan itself."""
    (plan,) = given("plan", "num")
    assert len(plan["digest"]) == 64
    assert plan["plan"]["inputs"][0] == "totals__sum_v"
    assert plan["computed"]["totals__sum_v"].startswith("sum(v), 1h of num by k")
    assert (plan["features_topic"], plan["predictions_topic"]) == ("features.num", "predictions.num")
    assert (plan["plan"]["mode"], plan["plan"]["lateness_ms"]) == ("arrival", 86_400_000)


@pytest.mark.parametrize("engine", ["flink", "duckdb"])
def test_sql_is_a_text_for_each_job(engine: str, given: Any) -> None:
    """``--sql`` with ``--json``."""
    (sql,) = given("plan", "num", "--sql", engine)
    assert sql["engine"] == engine
    assert "num" in sql["sql"]


def test_models_have_numbers_lists_and_whole_digests(given: Any, project: Path) -> None:
    """The list has of each version what the manifest has, and its aliases."""
    Registry(project / "models").set_alias("num", "candidate", 1)
    listed = given("models", "list")
    assert listed[0] == given("models", "show", "num", "--version", "1")
    model = listed[0]
    assert (model["name"], model["version"], model["aliases"]) == ("num", 1, ["candidate", "production"])
    assert (len(model["sha256"]), len(model["plan"])) == (64, 64)
    assert model["inputs"][:2] == ["totals__sum_v", "totals__count_id"]
    assert (model["trained_from"], model["metrics"]) == (0, {})


def test_training_gives_the_model_it_made(given: Any) -> None:
    """With its metrics as numbers, and the alias that it got."""
    model = given(
        "train", "num", "--from", "2024-05-01", "--days", "1", "--delay", "1", "--test-days", "1", "--promote", "staging"
    )
    assert model["aliases"] == ["staging"]
    assert isinstance(model["metrics"]["auc"], float)
    assert model["metrics"]["rows"] > 0
    assert T - 86_400_000 < model["trained_from"] <= T


def test_options_of_training_come_before_the_settings(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer and its parameters of the command line, then those of the environment, then those of headrace.toml."""
    days = ("--from", "2024-05-01", "--days", "1", "--delay", "1", "--test-days", "1")
    monkeypatch.setenv("HEADRACE_TRAIN__NUM__SEED", "4")
    monkeypatch.setenv("HEADRACE_TRAIN__NUM__DEPTH", "3")
    model = given("train", "num", *days, "--trainer", "random_forest", "--depth", "2")
    made_by = {"trainer": "random_forest", "trees": "2", "depth": "2", "seed": "4"}
    assert model["lineage"] == {**made_by, "label": "outcomes.bad"}
    assert model["task"] == "classification"


def test_status_has_numbers_and_lists(given: Any, project: Path) -> None:
    """Of each process."""
    processes = Processes(project / ".headrace")
    processes.start("scorer-num", ["sleep", "60"])
    try:
        (row,) = given("status")
    finally:
        processes.stop("scorer-num")
    assert (row["name"], row["services"]) == ("scorer-num", ["num"])
    assert isinstance(row["pid"], int)
    assert 0 <= row["uptime"] < 60


def test_no_model_and_no_process_are_empty_lists(given: Any, tmp_path: Path) -> None:
    """For who reads them with a program."""
    assert given("models", "list", "--project", str(tmp_path)) == given("status", "--project", str(tmp_path)) == []
