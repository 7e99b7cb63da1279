"""``headrace models``: versions in and out of service, who did it and why, and what is said of it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from features.inputs.columns import input_columns
from infra.cli import run
from infra.models import registry_of
from infra.settings import load_settings
from serving.models.admit import Given, admit
from serving.models.registry import Registry
from serving.models.reports import Report, Serving
from tests.serving.models.test_refused import model as one_input
from tests.support.models import register, stumps
from tests.support.num import num_project

Said = Callable[..., str]
OFFSETS = {0: 10, 1: 2**40}


FORCED = ("--force", "--why", "a test")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose model has three versions, the first in production."""
    from features.definitions.load import load

    folder = num_project(tmp_path_factory.mktemp("models") / "the project")
    plan = load(folder).service("num").plan
    inputs = input_columns(plan, plan.inputs)
    for number in (2, 3):
        register(folder / "models", plan, stumps([0.1 * number] * len(inputs)), inputs=inputs, alias="staging")
    return folder


@pytest.fixture
def project(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the commands run."""
    copy = Path(shutil.copytree(original, tmp_path / "the project"))
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command of ``headrace models`` says: its output, or its one line of advice after exit code 2."""

    def said(*words: str, code: int = 0) -> str:
        assert run(["models", *words]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return said


@pytest.mark.usefixtures("project")
def test_a_version_goes_to_production_and_back(said: Said) -> None:
    """Each command says what is in service now, and before; the log tells it all, with who and why."""
    assert (
        said("canary", "num", "2", "--share", "0.05", "--why", "first look") == "canary is num v2, for 0.05 of the keys of num\n"
    )
    assert said("canary", "num", "2", "--share", "0.2") == "canary is num v2, for 0.2 of the keys of num\n"
    assert said("promote", "num", "2", *FORCED) == "production is num v2, before num v1\n"
    assert said("promote", "num", "3", "production", *FORCED) == "production is num v3, before num v2\n"
    assert said("rollback", "num", "--why", "too many alarms") == "production is num v2, before num v3\n"
    assert said("rollback", "num") == "production is num v1, before num v2\n"
    assert "before num v1 there is none" in said("rollback", "num", code=2)
    entries = json.loads(said("log", "--json"))
    assert [entry["action"] for entry in entries] == [
        "promote",
        "alias",
        "alias",
        "canary",
        "canary",
        "promote",
        "promote",
        "rollback",
        "rollback",
    ]
    assert [entry["why"] for entry in entries if entry["why"]] == ["first look", "a test", "a test", "too many alarms"]
    assert [entry["seq"] for entry in entries if entry["forced"]] == [6, 7]
    assert all("@" in entry["who"] for entry in entries)


@pytest.mark.usefixtures("project")
def test_a_version_that_was_not_tried_is_not_promoted(capsys: pytest.CaptureFixture[str], said: Said) -> None:
    """The gate says what falls short and what to do; the exit code is 1, and nothing is changed."""
    before = said("log", "--json")
    assert run(["models", "promote", "num", "2"]) == 1
    told = capsys.readouterr().out
    assert "'headrace models promote num 2 staging' tries it first" in told
    assert "falls short" in told
    assert "at least 1,000" in told
    assert "--force --why TEXT" in told
    assert said("log", "--json") == before


@pytest.mark.usefixtures("project")
def test_the_log_is_a_line_for_each_change(said: Said) -> None:
    """From what to what."""
    said("canary", "num", "2", "--share", "0.25")
    said("canary", "num", "2", "--share", "0")
    said("remove", "num", "--alias", "staging")
    said("remove", "num", "3", "--why", "too large")
    text = said("log", "num")
    for change in (
        "production: nothing → num v1",
        "staging: num v2 → num v3",
        "canary: num v2 at 0.25",
        "canary: num v2 → nothing",
        "staging: num v3 → nothing",
        "removed: num v3",
    ):
        assert text.count(change) == 1, change
    assert "too large" in text
    assert "got 'nowhere'; it has num" in said("log", "nowhere", code=2)


@pytest.mark.usefixtures("project")
def test_what_is_in_service_is_not_removed(said: Said) -> None:
    """Nor is what is not there; what is forced has a reason."""
    assert "which is production of num" in said("remove", "num", "1", code=2)
    assert "which is staging of num" in said("remove", "num", "3", code=2)
    assert "got both or none" in said("remove", "num", code=2)
    assert "got both or none" in said("remove", "num", "2", "--alias", "staging", code=2)
    assert "'other' of num has no version" in said("remove", "num", "--alias", "other", code=2)
    assert "add --why TEXT" in said("promote", "num", "2", "--force", code=2)
    assert said("remove", "num", "2") == "num v2 is removed\n"
    assert "does not come back; got num v2" in said("promote", "num", "2", code=2)
    assert "it has 1, 3" in said("show", "num", "--version", "2", code=2)


def test_the_list_has_what_scorers_report(project: Path, said: Said) -> None:
    """State, events/s and p99 of each environment; why a version failed; what nobody has reported is shown as such."""
    registry = Registry(project / "models")
    said("canary", "num", "2", "--share", "0.05")
    assert said("list").count("not reported") == 3
    now = round(time.time() * 1000)
    serving = [
        Serving("production", "num", 1, None, "serving", None, now - 10_000, 1, OFFSETS, 5000, 0, 0, 2.25),
        Serving("canary", "num", 2, 0.05, "failed", "no input 'x'", now - 10_000, 4, OFFSETS, 0, 0, 0, None),
    ]
    registry.report("num", "0", Report("0", now, serving))
    registry.report("num", "1", Report("1", now, [serving[0]]))
    registry.report("num", "2", Report("2", now - 3_600_000, [serving[0]]))
    lines = {line.split()[3]: line.split() for line in said("list").splitlines() if line.startswith("num ")}
    assert lines["production"][4:5] + lines["production"][-3:] == ["serving", "1,000.0", "2.2", "ms"]
    assert lines["canary"][4:6] == ["0.05", "failed"]
    assert lines["staging"][4:6] == ["not", "reported"]
    assert "canary of num on scorer 0: no input 'x'" in said("list")
    listed = {one["version"]: one["environments"] for one in json.loads(said("list", "--json"))}
    assert [one["state"] for version in (1, 2, 3) for one in listed[version]] == ["serving", "failed", "not reported"]
    assert (listed[1][0]["events_per_second"], listed[2][0]["errors"]) == (1000, {"0": "no input 'x'"})
    registry.report("num", "0", Report("0", now - 3_600_000, serving))
    registry.report("num", "1", Report("1", now - 3_600_000, []))
    assert said("list").count("silent") == 2


def test_the_log_has_the_offsets_at_which_scorers_took_a_change(project: Path, said: Said) -> None:
    """Also long after: what a scorer first says of a change is kept."""
    registry, now = Registry(project / "models"), 1
    first = Serving("production", "num", 1, None, "serving", None, now, 1, OFFSETS, 0, 0, 0, None)
    said("promote", "num", "2", *FORCED)
    failed = Serving("production", "num", 2, None, "failed", "no input 'x'", now, 4, {0: 20}, 0, 0, 0, None)
    then = Serving("production", "num", 2, None, "serving", None, now, 4, {0: 30}, 0, 0, 0, None)
    for serving in (first, failed, then):
        registry.report("num", "0", Report("0", now, [serving]))
    entries = json.loads(said("log", "num", "--json"))
    assert [one["offsets"] for one in entries[0]["scorers"]] == [{"0": 10, "1": 2**40}]
    assert [(one["state"], one["offsets"]) for one in entries[3]["scorers"]] == [("failed", {"0": 20}), ("serving", {"0": 30})]
    assert "0 from 0@10 1@1099511627776" in said("log", "num")
    assert "0 failed: no input 'x'; 0 from 0@30" in said("log", "num")


@pytest.mark.usefixtures("project")
def test_a_version_is_shown_with_its_deployments(said: Said) -> None:
    """Those that put it in service, and those that took it out."""
    said("promote", "num", "3", "--force", "--why", "better [/bold]")
    text = said("show", "num", "--version", "1")
    assert "production: nothing → num v1" in text
    assert "production: num v1 → num v3" in text
    assert "better [/bold]" in text
    assert "segments" not in text  # it has none
    assert "staging: nothing → num v2" not in text
    assert "production, staging" in said("show", "num", "--version", "3").splitlines()[0]


@pytest.mark.usefixtures("project")
def test_two_versions_are_compared_by_metrics_inputs_and_scores(said: Said) -> None:
    """With a histogram of how far their scores are apart; a version agrees with itself."""
    text = said("diff", "num", "1", "3")
    assert "the same 7 inputs, in the same order" in text
    assert "golden rows of v1" in text
    assert "█" in text
    found = json.loads(said("diff", "num", "1", "3", "--json"))
    rows = len(found["scores"]["first"])
    assert sum(one["rows"] for one in found["scores"]["histogram"]) == rows > 0
    assert [one["version"] for one in found["versions"]] == [1, 3]
    assert "all are equal" in said("diff", "num", "2", "2")
    assert "no version 9" in said("diff", "num", "1", "9", code=2)


def test_a_row_that_one_version_does_not_hold_has_no_difference(project: Path, said: Said) -> None:
    """An int64 input takes no null: such a golden row of the other version is left out, and the rest is compared."""
    from features.definitions.load import load

    plan = load(project).service("num").plan
    inputs = input_columns(plan, plan.inputs)
    whole = one_input([("totals__sum_n", "int64", [None, 1])]).SerializeToString()
    place = inputs.index("totals__sum_n")
    rows = [[None if at == place and number % 2 else number for at, _ in enumerate(inputs)] for number in range(10)]
    for onnx, given, of in ((stumps([0.1] * len(inputs)), rows, inputs), (whole, [[1]], None)):
        give = partial(lambda given, columns: Given(given), given)
        Registry(project / "models").register(admit(onnx, plan, name="num", created_at=2, inputs=of, give=give))
    found = json.loads(said("diff", "num", "4", "5", "--json"))["scores"]
    assert [score is None for score in found["second"]] == [False, True] * 5
    assert sum(one["rows"] for one in found["histogram"]) == 5


@pytest.mark.slow
def test_a_registry_on_an_object_store_works_as_one_in_a_folder(
    project: Path, s3_url: str, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scorers and people on several machines share it; its credentials are the environment's."""
    from features.definitions.load import load

    monkeypatch.setenv("HEADRACE_REGISTRY", s3_url)
    assert said("list") == "no model yet; train one with 'headrace train'\n"
    plan = load(project).service("num").plan
    source = Registry(project / "models")
    for version in (1, 2):
        model = source.get("num", version)
        register(s3_url, plan, model.read("model.onnx"), inputs=model.manifest.inputs)
    assert said("rollback", "num") == "production is num v1, before num v2\n"
    assert "production: num v2 → num v1, rolled back" in said("log")
    assert "█" in said("diff", "num", "1", "2")
    assert registry_of(project, load_settings(project)).versions("num") == (1, 2)
    assert run(["score", "num", "--out", "scores.parquet"]) == 0
