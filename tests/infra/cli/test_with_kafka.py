"""Commands on a real broker: files that cannot be published, records that can't be read, and Ctrl-C."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from kafka import KafkaProducer

from infra.cli import run
from infra.local.broker import Broker
from tests.support import hostile_files as hostile
from tests.support.num import num_project

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, whole."""
    return num_project(tmp_path_factory.mktemp("with-kafka") / "num")


@pytest.fixture
def empty(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without definitions, on the tests' broker, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    return tmp_path


@pytest.fixture
def project(original: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project there."""
    copy = Path(shutil.copytree(original, empty / "num"))
    monkeypatch.chdir(copy)
    return copy


def topic_of(broker: Broker, kind: str = "num") -> str:
    """A topic of the test's own."""
    name = f"{kind}-{uuid.uuid4().hex[:8]}"
    broker.create_topics({name: 1})
    return name


def fill(broker: Broker, topic: str, *values: bytes | None) -> None:
    """Put these records on it."""
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for value in values:
            producer.send(topic, value, hostile.LATIN_1)


def test_a_file_that_cannot_be_read_is_not_published(project: Path, broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is refused by name, or read to its end: to the topic of a source, and to one that no plan reads."""
    free = topic_of(broker)
    broker.create_topics({"num": 1})
    for number, (name, (file, place)) in enumerate(hostile.EVENT_FILES.items()):
        path = project / str(number) / file
        path.parent.mkdir()
        place(path)
        for topic in ("num", free):
            code = run(["publish", str(path), "--topic", topic])
            said = capsys.readouterr().err
            assert code in (0, 2), f"{name}: {said}"
            complaints = [line for line in said.splitlines() if line.startswith("error: ")]
            assert len(complaints) == (code == 2), f"{name}: {said}"
            assert code == 0 or file in complaints[0], f"{name}: {said}"
            assert code == 2 or name not in hostile.NO_FILES, f"{name} was published"


def test_a_topic_of_anything_can_be_read(empty: Path, broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as JSON: a line for each record."""
    topic = topic_of(broker)
    values = (None, b"", hostile.BINARY, hostile.LATIN_1, b'{"k": "k\xe9y"}', b'{"a":\n 1}', b"[" * 5000)
    fill(broker, topic, *values)
    for options in ([], ["--json"]):
        assert run(["tail", topic, "--from-beginning", "--limit", str(len(values)), *options]) == 0
        assert capsys.readouterr().out.count("\n") == len(values)


def test_a_topic_that_does_not_exist(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named, with those there are."""
    for words in (["tail", "nowhere"], ["publish", "num.parquet", "--topic", "nowhere"], ["tail", "no where"], ["tail", ""]):
        assert run(words) == 2
        assert "a topic exists before it is used" in capsys.readouterr().err


def test_ctrl_c_ends_tail_with_what_it_read(empty: Path, broker: Broker) -> None:
    """The usual way of ending it."""
    topic = topic_of(broker)
    fill(broker, topic, b"1", b"2", b"3")
    with command(empty, "tail", topic, "--from-beginning", "--json") as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert [line["value"] for line in lines] == [1, 2, 3]
    assert (process.returncode, said) == (130, f"interrupted: 3 messages of {topic} were read\n")


def test_ctrl_c_of_up_says_what_runs_on(project: Path) -> None:
    """What it has started by then, as that goes on; and what to do."""
    try:
        with command(project, "up", "num") as process:
            while not (project / ".headrace" / "processes" / "scorer-num.json").is_file():
                assert process.poll() is None, "it ended before it was interrupted"
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
    finally:
        assert run(["down"]) == 0
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("interrupted: stream-num, scorer-num still run; 'headrace up'")


def test_a_reader_that_goes_away_is_no_fault(empty: Path, broker: Broker) -> None:
    """``headrace tail … | head -1`` ends without a word."""
    topic = topic_of(broker)
    fill(broker, topic, *[b"x" * 1000] * 500)
    with command(empty, "tail", topic, "--from-beginning", "--limit", "500") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        process.wait(30)
    assert said == ""


@contextmanager
def command(project: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, which hears Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "infra.cli", *words, "--project", str(project)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # which is not ours to begin with under nohup
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
