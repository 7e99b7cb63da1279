"""``headrace tune``: measured here, kept beside the version, and forgotten again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from features.inputs import running
from features.inputs.session import Execution
from infra.cli import run
from jobs.compress.tune import Measured, Ratio, Result
from serving.models.registry import Registry
from serving.models.tuned import read_tuned, this_machine
from tests.support.num import num_project

pytestmark = pytest.mark.slow

WON = Execution(binding=True)
BETTER = Measured("IO binding", WON, {1: 8e-6, 256: 8e-5}, {1: Ratio(0.8, 0.7, 0.9), 256: Ratio(1.0, 0.9, 1.1)})
USUAL = Measured("defaults", Execution(), {1: 1e-5, 256: 8e-5}, {})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a version in production."""
    folder = num_project(tmp_path / "num")
    monkeypatch.chdir(folder)
    return folder


def kept(project: Path) -> Any:
    """What is kept for this machine."""
    found = read_tuned(Registry(project / "models").get("num", 1), this_machine())
    return None if found is None else found.execution


def test_a_model_is_measured_with_the_batches_that_are_given(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every setting at every size, for real; what is kept is what is said to have won."""
    assert run(["tune", "num@production", "--batch", "1", "--batch", "300", "--rounds", "8", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["model"], said["version"]) == ("num", 1)
    assert [one["name"] for one in said["settings"]][:3] == ["defaults", "defaults again", "level off"]
    assert all(one["seconds"].keys() == {"1", "300"} for one in said["settings"])
    assert all(second > 0 for one in said["settings"] for second in one["seconds"].values())
    assert "fixed shapes" in said["untried"]
    assert (kept(project) is None) == (said["execution"] is None)


def test_a_setting_that_predicts_otherwise_at_a_size_is_not_measured(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that is not the golden batch's own: a session may compute another way where there are more or fewer rows."""
    joined = running._joined

    def otherwise(parts: tuple[Any, ...]) -> Any:
        found = joined(parts)
        return found + found.dtype.type(1) if len(found) == 300 else found

    monkeypatch.setattr(running, "_joined", otherwise)
    assert run(["tune", "num", "--batch", "256", "--batch", "300", "--rounds", "8", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert "got score 1." in said["untried"]["64 rows at once"]
    assert "64 rows at once" not in {one["name"] for one in said["settings"]}


def test_what_won_is_kept_and_forgotten(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table says what and by how much; when the defaults are best again, or --forget says so, nothing is kept."""
    monkeypatch.setattr("jobs.compress.tune.tune", lambda *_, **__: Result((USUAL, BETTER), (USUAL, BETTER), {"threads": "why"}))
    assert run(["tune", "num"]) == 0
    said = capsys.readouterr().out
    assert "8.0 µs -20%" in said
    assert "not tried: threads: why" in said
    assert "kept for such machines: binding True; time of a batch -20% at 1, +0% at 256 rows" in said
    assert kept(project) == WON
    monkeypatch.setattr("jobs.compress.tune.tune", lambda *_, **__: Result((USUAL,), (), {}))
    assert run(["tune", "num"]) == 0
    assert "the defaults are as good as anything that was tried: they stay" in capsys.readouterr().out
    assert kept(project) is None
    monkeypatch.setattr("jobs.compress.tune.tune", lambda *_, **__: Result((USUAL, BETTER), (USUAL, BETTER), {}))
    assert run(["tune", "num"]) == 0
    assert run(["tune", "num", "--forget"]) == 0
    assert "num v1 runs with the defaults on" in capsys.readouterr().out
    assert kept(project) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "a model is in the registry; got 'nothing'"),
        (["num@9"], "model 'num' has no version 9"),
        (["num@canary"], "model 'num' has no alias 'canary'"),
        (["num", "--batch", "0"], "Input should be greater than or equal to 1"),
    ],
)
def test_mistakes_are_one_line(words: list[str], said: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2."""
    assert run(["tune", *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
