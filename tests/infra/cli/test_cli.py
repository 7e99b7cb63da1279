"""The command line: its names, and how a user's errors look."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from infra.cli import messages, run
from infra.cli.app import app
from schemas import LateRow, Origin
from schemas.codec import encode

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "fraud"
COMMANDS = {
    "init", "plan", "setup", "up", "down", "status", "run", "stream", "scorer", "publish", "replay", "tail", "features",
    "batch-views", "audit", "backfill", "compress", "explain", "monitor", "online", "schedule", "serve",
    "score", "train", "tune", "models", "retrain", "outcomes", "freshness", "export-edge", "edge-audit",
}  # fmt: skip


def commands(command: Any, path: str = "") -> Iterator[str]:
    """The commands that do something, hidden ones left out: ``models list``."""
    inner = {name: one for name, one in getattr(command, "commands", {}).items() if not one.hidden}
    if not inner:
        yield path
    for name, one in inner.items():
        yield from commands(one, f"{path} {name}".strip())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example's definitions."""
    for name in ("definitions.py", "feature_store.yaml", "headrace.toml"):
        shutil.copy(EXAMPLE / name, tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command writes before it gives exit code 2."""
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """The names that users and scripts rely on."""
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.partition("Commands:")[2].splitlines()
    assert {line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")} == COMMANDS


@pytest.mark.parametrize("command", list(commands(typer.main.get_command(app))))
def test_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its help ends with a line to copy."""
    assert run([*command.split(), "--help"]) == 0
    assert f"Example: headrace {command}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", ["plan", "up", "status", "down", "models list", "tail x", "scorer fraud", "stream fraud"])
def test_a_folder_that_is_not_there_is_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what to do."""
    message = refused(capsys, *command.split(), "--project", "/nowhere")
    assert message == "error: a project is a folder with a definitions.py; there is no folder /nowhere; give --project DIR\n"


def test_a_folder_without_definitions_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same where the file is missing."""
    assert "a project has a definitions.py" in refused(capsys, "plan", "--project", str(tmp_path))


@pytest.mark.parametrize("command", ["publish x.parquet --topic t", "tail t"])
def test_a_folder_that_is_no_project_is_not_told_to_start(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usual fault is a command in another folder: it has to be said, also by `status`, to which nothing is no fault."""
    assert "it is no project: give --project DIR" in refused(capsys, *command.split(), "--project", str(tmp_path))
    assert run(["status", "--project", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"nothing runs; {tmp_path} has no definitions.py: give --project DIR\n"


def test_an_unknown_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """No usage text over ten lines."""
    assert "--colour" in refused(capsys, "plan", "--colour")


def test_two_schedules_are_one_too_many(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rate or a speed."""
    arguments = ("publish", "x.parquet", "--topic", "t", "--rate", "1", "--speed", "2", "--project", str(project))
    assert "got --rate 1 and --speed 2" in refused(capsys, *arguments)


@pytest.mark.parametrize("option", ["--rate", "--speed"])
@pytest.mark.parametrize("number", ["0", "-1", "nan", "inf"])
def test_a_schedule_goes_on(option: str, number: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No rate and no speed is nought: it is refused, not taken for none."""
    for command in ("publish x.parquet --topic t", "replay fraud"):
        said = refused(capsys, *command.split(), option, number, "--project", str(project))
        assert f"{option} is a number above 0; got {number}" in said


def test_a_bad_setting_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the file that holds it."""
    (project / "headrace.toml").write_text("[stream]\nparalel = 2\n")
    assert "headrace.toml: 'stream.paralel' is no setting" in refused(capsys, "status", "--project", str(project))


@pytest.mark.parametrize("command", ["publish x.parquet --topic t", "tail t", "stream fraud"])
def test_without_a_stack_one_line_says_how_to_start_it(command: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing waits for a Kafka that isn't there."""
    assert "run 'headrace up'" in refused(capsys, *command.split(), "--project", str(project))


def test_an_unknown_service_is_one_line_with_those_there_are(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt service."""
    assert "fraud, handbook" in refused(capsys, "plan", "frauds", "--project", str(project))


def test_plan_prints_inputs_and_digest(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each input with how it is computed."""
    assert run(["plan", "fraud", "--project", str(project)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "customer_spend__mean_7d mean(amount), 7d of transactions by customer_id; else 0" in text
    assert run(["plan", "fraud", "--project", str(project), "--json"]) == 0
    digest = json.loads(capsys.readouterr().out)[0]["digest"]
    assert digest in text


@pytest.mark.parametrize("engine", ["flink", "duckdb"])
def test_plan_prints_the_sql_of_an_engine(engine: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text that the engine runs."""
    assert run(["plan", "fraud", "--sql", engine, "--project", str(project)]) == 0
    assert "terminal_risk__mean_30d" in capsys.readouterr().out


def test_services_of_one_job_are_one_text_of_flink(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both services of the example are over one spine: what `headrace up` would run for them is one job."""
    assert run(["plan", "--sql", "flink", "--project", str(project)]) == 0
    text = capsys.readouterr().out
    assert text.count("CREATE TEMPORARY SYSTEM FUNCTION sliding_windows") == 1
    assert "'topic' = 'features.fraud'" in text
    assert "'topic' = 'features.handbook'" in text


@pytest.mark.parametrize(
    ("late_ms", "counted", "wanted"),
    [
        (90_061_000, True, "1d 1h late  14 values of 3 feature vectors would differ  labels/1@1277"),
        (250, False, "250ms late  14 values of 3 feature vectors would differ, as far as is known  labels/1@1277"),
    ],
)
def test_a_late_row_is_one_line(late_ms: int, counted: bool, wanted: str) -> None:
    """When it happened, the view, how late it came, what it would have changed, and where it lies."""
    row = LateRow("terminal_risk", "labels", Origin("labels", 1, 1277), 0, late_ms, 3, 14, counted)
    line = messages.line_of("late_rows")(SimpleNamespace(value=encode(row)))
    assert str(line) == f"1970-01-01 00:00:00  terminal_risk  {wanted}"


def test_status_of_nothing_says_how_to_start(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And as JSON it is an empty list."""
    assert run(["status", "--project", str(project)]) == 0
    assert "headrace up" in capsys.readouterr().out
    assert run(["status", "--project", str(project), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_down_of_nothing_is_no_error(project: Path) -> None:
    """Stopping twice is fine."""
    assert run(["down", "--project", str(project), "--wipe"]) == 0
