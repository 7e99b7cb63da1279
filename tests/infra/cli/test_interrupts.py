"""Ctrl-C: exit code 130, and one line of what was done and what still runs."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from infra.cli import run
from infra.cli.app import Interrupted, interruptible
from jobs.history.files import connect
from tests.support.commands import good
from tests.support.num import DEFINITIONS, num_project

CTRL_C = "__import__('os').kill(__import__('os').getpid(), __import__('signal').SIGINT)"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, whole."""
    return num_project(tmp_path_factory.mktemp("interrupts") / "num")


@pytest.fixture
def project(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, in which the commands run; Python's own handler of Ctrl-C is in place."""
    copy = Path(shutil.copytree(original, tmp_path / "num"))
    monkeypatch.chdir(copy)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # none under nohup
    yield copy
    signal.signal(signal.SIGINT, before)


def interrupted(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command says that is interrupted: the last line on stderr, and the only one of that kind."""
    assert run(words) == 130
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.count("interrupted") == 1
    return said.splitlines()[-1]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("plan", "interrupted"),
        ("features", "interrupted: out/out.parquet was not written"),
        ("score", "interrupted: out/out.parquet was not written"),
        ("train", "interrupted: no model was registered"),
        ("up", "interrupted: nothing runs"),
        ("run", "interrupted: all that it started is stopped; logs and data are in "),
    ],
)
def test_while_definitions_are_read(command: str, said: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The longest time in which nothing is done yet."""
    (project / "definitions.py").write_text(f"{CTRL_C}\n{DEFINITIONS}")
    line = interrupted(capsys, *good(command))
    assert line == said or (said.endswith(" ") and line.startswith(said))


def test_the_end_of_a_container(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGTERM is taken as Ctrl-C by what has something to clear away."""
    (project / "definitions.py").write_text(f"{CTRL_C.replace('SIGINT', 'SIGTERM')}\n{DEFINITIONS}")
    assert interrupted(capsys, *good("run")).startswith("interrupted: all that it started is stopped")


@pytest.mark.parametrize("command", ["features", "score", "train"])
def test_while_features_are_computed(command: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is left that looks like a result."""
    text = DEFINITIONS.replace("def doubled(inputs):", f"def doubled(inputs):\n    {CTRL_C}")
    before = {path for path in project.rglob("*") if "models" in path.parts}
    (project / "definitions.py").write_text(text)
    interrupted(capsys, *good(command))
    assert not (project / "out").exists()
    assert {path for path in project.rglob("*") if "models" in path.parts} == before


@pytest.mark.slow
def test_within_a_query_of_duckdb() -> None:
    """Which makes an error of its own of it. With more threads than one, DuckDB 2.0 hears of it when the query is over."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(Interrupted, match="half done"), interruptible(lambda: "half done"), connect(threads=1) as connection:
            connection.execute("SELECT sum(range % 7) FROM range(100000000000)")
    finally:
        signal.signal(signal.SIGINT, before)
