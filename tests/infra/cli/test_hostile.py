"""No traceback for a user's fault: every command with broken files, settings and options ends with exit code 2 and one line.

The commands and their options are those of the application, so a new one is tried too.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.cli import run
from serving.models.manifest import Draft, read_golden
from serving.models.registry import Registry
from tests.support import hostile_files as hostile
from tests.support.commands import COMMANDS, good, required
from tests.support.hostile_files import Place
from tests.support.models import stumps
from tests.support.num import num_project

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str]]

READERS = ("plan", "features", "score", "train", "retrain", "freshness", "compress", "outcomes")
"""Commands that read definitions and settings, and need no Kafka."""
CLIENTS = ("audit", "explain", "publish", "replay", "tail", "up", "run", "scorer", "stream", "online", "monitor")
"""Commands that need one."""
OF_MODELS = ("models", "tune")
"""Commands that read no run folder either; one of them works for seconds."""
WITH_ALL = ("is binary", "is a folder", "ends the process", "has an unknown key")
"""Of the broken files, those with which every command is tried; all others with one that reads them."""
BAD = {
    "path": ("nowhere/x.parquet", "data", "definitions.py/x.parquet", "x" * 300, "[/x].parquet"),
    "text": ("", "nowhere", "../x", "a\nb", "é" * 300, "[/x]", "-"),
    "integer": ("-1", "0", "x", "1.5", "99999999999999999999"),
    "float": ("-1", "0", "x", "nan"),
    "date": ("", "yesterday", "2024-13-01", "9999-12-31", "0001-01-01", "0001-01-01T00:00:00+23:59", "2024-05-01T25:00"),
}


REFUSED = {
    "integer": {"-1", "x", "1.5"},
    "float": set(BAD["float"]),
    "date": {"", "yesterday", "2024-13-01", "2024-05-01T25:00"},
}
"""The values that no option takes, whichever it is; the others may be good for one."""
NAMES = {"service", "services", "name", "model", "version", "topic", "history"}
"""Options and arguments that name something there is: nowhere is none."""


def kind(one: Any) -> str:
    """What an option or argument wants."""
    if one.metavar == "DATE":
        return "date"
    return {Path: "path", int: "integer", float: "float"}.get(one.type_descriptor.annotation, "text")


NEW = {("models", "add"): "name"}
"""What a command makes, so that it is good for any."""


def bad_values(path: tuple[str, ...]) -> Iterator[tuple[list[str], bool]]:
    """Command lines with one bad value each, and whether it is certainly refused."""
    command = COMMANDS[path]
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    for one in command.params:
        if getattr(one, "is_flag", False):
            continue
        for value in BAD[kind(one)]:
            refused = value in REFUSED.get(kind(one), ()) or (value == "nowhere" and one.name in NAMES - {NEW.get(path)})
            words = required(command)
            if one in arguments:
                place = arguments.index(one)  # those that are required come first
                yield [*words[:place], value, *words[place + 1 :]], refused
            else:
                yield [*words, one.opts[0], value], refused


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, whole."""
    return num_project(tmp_path_factory.mktemp("hostile") / "num")


@pytest.fixture
def project(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to break, in which the commands run."""
    copy = Path(shutil.copytree(original, tmp_path / "num"))
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def tried(project: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in the project: gives its exit code and the line that it complains with."""

    def tried(*words: str) -> tuple[int, str]:
        code = run(words)
        said = capsys.readouterr().err
        complaints = [line for line in said.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in said, f"{words}: {said}"
        refused_by_the_gate = code == 1 and words[:2] == ("models", "promote")
        assert code in (0, 2) or refused_by_the_gate, f"{words}: exit code {code}: {said}"
        assert len(complaints) == (code == 2), f"{words}: exit code {code}: {said}"
        return code, "".join(complaints)

    return tried


def replace(path: Path, place: Place) -> None:
    """Put the thing where the project has its own."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    place(path)


def refused(tried: Run, *words: str) -> str:
    """The line with which a command refuses what it finds."""
    code, line = tried(*good(*words))
    assert code == 2, f"{words} took it"
    return line


@pytest.mark.parametrize("name", hostile.DEFINITIONS_FILES)
def test_definitions_that_are_none(name: str, project: Path, tried: Run) -> None:
    """Who reads them says so; the others do their work, or miss Kafka."""
    replace(project / "definitions.py", hostile.DEFINITIONS_FILES[name])
    refused(tried, "plan")
    for words in COMMANDS if name in WITH_ALL else ():
        refused(tried, *words) if words[0] in READERS else tried(*good(*words))


@pytest.mark.parametrize("name", hostile.SETTINGS_FILES)
def test_settings_that_are_none(name: str, project: Path, tried: Run) -> None:
    """Whoever reads headrace.toml names it."""
    replace(project / "headrace.toml", hostile.SETTINGS_FILES[name])
    assert "headrace.toml" in refused(tried, "status")
    for words in COMMANDS if name in WITH_ALL else ():
        refused(tried, *words) if words[0] in ("score", "train", *CLIENTS) else tried(*good(*words))


@pytest.mark.parametrize("name", hostile.FUNCTIONS)
def test_on_demand_functions_that_give_no_numbers(name: str, project: Path, tried: Run) -> None:
    """The line names the view, and says what it has to give."""
    replace(project / "definitions.py", hostile.FUNCTIONS[name])
    assert "doubled" in refused(tried, "features") or "beyond doubles" in name


@pytest.mark.parametrize("name", hostile.EVENT_FILES)
def test_event_files_that_are_none(name: str, project: Path, tried: Run) -> None:
    """As events and as history: refused with the file's name."""
    file, place = hostile.EVENT_FILES[name]
    place(project / file)
    for words in (("features", "num", "--events", file), ("score", "num", "--history", f"num={file}")):
        code, line = tried(*words, "--out", "out.parquet")
        assert code == 2 or name in hostile.PERHAPS, f"{words} took it"
        assert code == 0 or file in line


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_options_that_are_none(command: tuple[str, ...], project: Path, tried: Run) -> None:
    """Each option and argument in turn, all others good."""
    no_stack = ["--dry-run"] if command == ("up",) else []
    for words, is_refused in bad_values(command):
        code, _ = tried(*command, *words, *no_stack)
        assert code == 2 or not is_refused, f"{words} was taken"


@pytest.mark.parametrize(
    "out", ["data", "data/out.csv", "definitions.py/out.parquet", "locked/out.parquet", f"{'x' * 300}.parquet"]
)
def test_an_out_that_cannot_be_written(out: str, project: Path, tried: Run) -> None:
    """Said before the work: a folder, another kind of file, below a file, where the user may not write, of a name too long."""
    if out.startswith("locked"):
        (project / "locked").mkdir(mode=0o500)
        if os.geteuid() == 0:
            pytest.skip("root may write anywhere")
    code, line = tried("features", "num", "--out", out)
    assert code == 2
    assert out in line


@pytest.mark.parametrize("out", ["data", "picture", "picture.pdf", "definitions.py/b.png", f"{'x' * 300}.png"])
def test_a_picture_that_cannot_be_written(out: str, tried: Run) -> None:
    """Said before Kafka is asked: a folder, another kind of file, below a file, of a name too long."""
    for words in (("audit", "num"), ("explain", "num", "1")):
        code, line = tried(*words, "--out", out)
        assert (code, "127.0.0.1" in line) == (2, False)
        assert out in line


@pytest.mark.parametrize("command", CLIENTS)
def test_a_kafka_that_is_not_there(command: str, tried: Run) -> None:
    """Known at once, with its address, and what to do."""
    began = time.monotonic()
    assert "127.0.0.1:1" in refused(tried, command)
    assert time.monotonic() - began < 10


@pytest.mark.slow  # 5 s, in which it waits
def test_a_kafka_that_does_not_reply(project: Path, tried: Run) -> None:
    """A server that takes the connection and says nothing, as of another protocol."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "{}:{}".format(*silent.getsockname())
        text = (project / "headrace.toml").read_text().replace("127.0.0.1:1", address)
        (project / "headrace.toml").write_text(text)
        began = time.monotonic()
        assert address in refused(tried, "tail")
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("name", hostile.REPLACED)
@pytest.mark.parametrize("file", ["manifest.json", "model.onnx", "../model.json", "../../deployments/num/00000001.json"])
def test_a_registry_that_is_broken(file: str, name: str, project: Path, tried: Run) -> None:
    """The commands that read the file say which it is, or that there is none."""
    replace(project / "models" / "num" / "1" / file, hostile.REPLACED[name])
    assert "num" in refused(tried, "score")
    for words in COMMANDS:
        if words[0] in ("models", "score", "train", "run", "scorer"):
            tried(*good(*words))


def test_a_model_that_is_no_onnx(project: Path, tried: Run) -> None:
    """Its manifest is right, and ONNX Runtime can't read it, or gives no score."""
    registry = Registry(project / "models")
    model = registry.get("num", 1)
    for onnx in (b"", hostile.BINARY, stumps([1.0])):
        manifest = msgspec.structs.replace(model.manifest, sha256=hashlib.sha256(onnx).hexdigest())
        made = registry.register(Draft(manifest, onnx, read_golden(model)))
        registry.set_alias("num", "production", made.version)
        assert f"model 'num' {made.version}" in refused(tried, "score")


@pytest.mark.parametrize("name", [name for name in hostile.REPLACED if name != "is missing"])
@pytest.mark.parametrize("file", ["stack.json", "settings.json", "plans/num.json", "processes/kafka.json", "."])
def test_a_run_folder_that_is_broken(file: str, name: str, project: Path, tried: Run) -> None:
    """Whatever is in it, a command says so, or does without."""
    (project / ".headrace").mkdir()
    (project / ".headrace" / "stack.json").write_text('{"bootstrap": "127.0.0.1:1", "services": ["num"], "jobs": [["num"]]}')
    (project / ".headrace" / file).parent.mkdir(exist_ok=True)
    replace(project / ".headrace" / file, hostile.REPLACED[name])
    for words in COMMANDS:
        if words[0] not in (*READERS, *OF_MODELS):
            tried(*good(*words))
    at = str(project / ".headrace" / file)
    tried("scorer", "num", "--settings", at)
    tried("stream", "num", "--settings", at)
    tried("stream", "num", "--plan", at)


@pytest.mark.parametrize("value", ["", "{", "[" * 50_000, "[1]", "x" * 10_000, "-1", "nan", "\udce9"])
def test_an_environment_that_is_wrong(value: str, tried: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable of a setting, and of none, with values that are none."""
    for variable in (
        "SERVICES",
        "KAFKA",
        "KAFKA__BOOTSTRAP",
        "STREAM__PARALLELISM",
        "SCORER__ALIAS",
        "TRAIN",
        "RUN",
        "RUN_DIR",
        "NO",
    ):
        with monkeypatch.context() as patched:
            patched.setenv(f"HEADRACE_{variable}", value)
            tried("status")
            tried("tail", "num")


@pytest.mark.parametrize(
    "address", ["", "nowhere", "localhost:99999", "localhost:x", ":", "a..b:1", "[::1", "http://localhost:1", ","]
)
def test_an_address_that_is_none(address: str, project: Path, tried: Run) -> None:
    """Of Kafka."""
    text = (project / "headrace.toml").read_text().replace('"127.0.0.1:1"', f'"{address}"')
    (project / "headrace.toml").write_text(text)
    for command in ("tail", "scorer"):
        refused(tried, command)


def test_a_folder_with_brackets_in_its_name(project: Path, tried: Run) -> None:
    """What is shown is a name, and no colour."""
    odd = Path(shutil.copytree(project, project.with_name("a[") / "red]b[bold]"))
    for words in (("plan",), ("status",), ("models", "list"), ("models", "show")):
        code, line = tried(*good(*words), "--project", str(odd))
        assert code == 0, line


def test_what_the_definitions_print_is_not_in_the_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """stdout holds the data alone."""
    (project / "definitions.py").write_text("print('hello')\n" + (project / "definitions.py").read_text())
    assert run(["plan", "num", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)
    assert "hello" in captured.err


@pytest.mark.parametrize("words", [[], ["models"]])
def test_no_command_is_the_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line, with exit code 2."""
    assert run(words) == 2
    assert capsys.readouterr().err.startswith(f"Usage: headrace {' '.join(words)}".rstrip())
