"""`headrace score`: of events and of entities, into a file and into the store of predictions."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.cli import run
from schemas import FetchedPrediction
from serving.client import Client, ExpiredError, NotFoundError
from tests.serving.http.support import serving
from tests.support.num import T, num_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a model in production, and entities beside it."""
    folder = num_project(tmp_path / "a num")
    pq.write_table(pa.table({"k": ["k0", "k1", "k2", "k/3"], "d": [0.5, 1.5, None, 2.5]}), folder / "entities.parquet")
    monkeypatch.chdir(folder)
    return folder


def fetched(project: Path, *keys: str) -> list[FetchedPrediction]:
    """The stored predictions, over HTTP."""
    from features.definitions.load import load

    with (
        serving([load(project).service("num")], project / "models") as running,
        Client(f"http://{running.address}") as client,
    ):
        return [client.fetch("num", key) for key in keys]


def test_events_are_scored_with_the_version_that_scored_them(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each, as its receipt on the stream would say: score, model and version."""
    assert run(["score", "num", "--out", "scores.parquet"]) == 0
    assert "48 scores by num v1 in scores.parquet" in capsys.readouterr().out
    table = pq.read_table("scores.parquet")
    assert table.num_rows == 48
    assert set(table["model"].to_pylist()) == {"num"}
    assert set(table["version"].to_pylist()) == {1}


@pytest.mark.slow
def test_entities_are_scored_now_stored_and_fetched(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the file and over HTTP the same score, which holds for as long as was said."""
    before = int(time.time() * 1000)
    words = ["score", "num", "--entities", "entities.parquet", "--online", "--holds", "25h", "--out", "scores.parquet"]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "4 scores by num v1 in scores.parquet" in said
    assert "4 predictions stored, valid until" in said
    table = pq.read_table("scores.parquet")
    found = fetched(project, "k0", "k1", "k2", "k/3")
    assert [one.score for one in found] == table["score"].to_pylist()
    assert {(one.model, one.version) for one in found} == {("num", 1)}
    assert all(before <= one.as_of == one.computed_at <= int(time.time() * 1000) for one in found)
    assert all(one.valid_until == one.as_of + 25 * 3_600_000 for one in found)
    with pytest.raises(NotFoundError):
        fetched(project, "k9")


@pytest.mark.slow
def test_an_entity_keeps_its_newest_prediction(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run as of an earlier time changes nothing; of events, the newest of each entity is stored."""
    times = ("2024-05-03", "2024-05-02")
    for at, stored in zip(times, (4, 0), strict=True):
        assert run(["score", "num", "--entities", "entities.parquet", "--at", at, "--online"]) == 0
        assert f"{stored} predictions stored" in capsys.readouterr().out
    assert fetched(project, "k0")[0].as_of == T + 40 * 3_600_000  # 3 May, midnight
    assert run(["score", "num", "--online"]) == 0
    newest = {row["k"]: row["at"] for row in pq.read_table("data/num.parquet").to_pylist()}
    for key, at in newest.items():
        assert fetched(project, key)[0].as_of == int(at.timestamp() * 1000)
    assert run(["score", "num", "--online", "--holds", "1h"]) == 0  # again, of events of 2024
    with pytest.raises(ExpiredError):
        fetched(project, "k0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "got neither; give --out, or --online"),
        (["--out", "x.parquet", "--holds", "1d"], "--holds is of predictions that are stored"),
        (["--out", "x.parquet", "--at", "2024-05-01"], "--at is the time of entities"),
        (["--out", "x.parquet", "--entities", "entities.parquet", "--events", "e.parquet"], "give --at alone"),
        (["--out", "x.parquet", "--entities", "entities.parquet", "--from", "2024-05-01"], "give --at alone"),
        (["--out", "x.parquet", "--entities", "entities.parquet", "--at", "2224-05-01"], "--at is a time within"),
        (["--out", "x.parquet", "--entities", "nowhere.parquet"], "no file nowhere.parquet"),
        (["--online", "--entities", "entities.parquet", "--holds", "soon"], "--holds is a whole number and a unit"),
    ],
)
@pytest.mark.usefixtures("project")
def test_options_that_do_not_go_together(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line."""
    assert run(["score", "num", *words]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert error.count("\n") == 0
    assert said in error
    assert not Path("x.parquet").exists()


@pytest.mark.usefixtures("project")
def test_a_daily_run_is_printed_for_a_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    """The command of the predictions, by the file's full path, where cron has another folder."""
    words = ["schedule", "num", "--entities", "entities.parquet", "--holds", "25h", "--at", "00:40"]
    assert run(words) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("40 0 * * * ")
    assert f"score num --entities '{Path('entities.parquet').absolute()}' --online --holds 25h --project" in line
    assert run([*(word.replace("entities.parquet", "sqlite:///data/x.db#rows") for word in words)]) == 0
    assert f"--entities 'sqlite:///{Path('data/x.db').absolute()}#rows'" in capsys.readouterr().out
    assert run([*words, "--format", "kubernetes", "--image", "x"]) == 0
    assert '"--entities", "entities.parquet", "--online"' in capsys.readouterr().out
    assert run(["schedule", "num", "--holds", "25h"]) == 2
    assert "add --entities PLACE" in capsys.readouterr().err
