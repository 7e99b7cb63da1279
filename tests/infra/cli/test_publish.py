"""``headrace publish`` on a real broker: what it sends, what it refuses to send, and how it goes on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from infra.cli import run
from infra.local.broker import Broker
from tests.support.streams import records

pytestmark = pytest.mark.stack

TOPIC = "command-transactions"


@pytest.fixture
def project(small_copy: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose transactions go to a topic of its own on the tests' broker."""
    definitions = small_copy / "definitions.py"
    definitions.write_text(definitions.read_text().replace('topic="transactions"', f'topic="{TOPIC}"'))
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    broker.create_topics({TOPIC: 1})
    return small_copy


def lines(folder: Path, count: int, bad: str = "") -> Path:
    """A file of transactions, one a second, with times in ISO 8601; the last line is ``bad``, if there is one."""
    file = folder / "events.jsonl"
    made = [
        json.dumps(
            {"transaction_id": number, "event_time": f"2018-06-01T00:00:{number:02}+00:00", "customer_id": 1, "terminal_id": 2}
        )
        for number in range(count)
    ]
    file.write_text("\n".join([*made, bad]))
    return file


def sent(broker: Broker) -> list[int]:
    """The ids on the topic."""
    return [json.loads(record.value)["transaction_id"] for record in records(broker, TOPIC)]


def test_a_file_is_checked_sent_in_a_span_and_gone_on_with(
    project: Path, broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of a file with a bad row; of a good one what lies in the span, and after --skip the rest."""
    common = ("--topic", TOPIC, "--project", str(project))
    bad = lines(tmp_path, 5, '{"transaction_id": 5, "event_time": 1527811200, "customer_id": 1, "terminal_id": 2}')
    assert run(["publish", str(bad), *common]) == 2
    assert "row 6: column 'event_time' is a time within stream.max_age_days" in capsys.readouterr().err
    assert sent(broker) == []
    file = lines(tmp_path, 6)
    assert (
        run(["publish", str(file), *common, "--from", "2018-06-01T00:00:01", "--to", "2018-06-01T00:00:04", "--limit", "2"]) == 0
    )
    assert "2 events to" in capsys.readouterr().out
    began = time.monotonic()
    assert run(["publish", str(file), *common, "--skip", "3", "--speed", "4"]) == 0
    assert time.monotonic() - began >= 0.5
    assert sent(broker) == [1, 2, 3, 4, 5]
    assert run(["publish", str(lines(tmp_path, 1, "noise")), *common, "--no-check"]) == 0
    assert len(list(records(broker, TOPIC))) == 7


def test_an_interrupted_command_says_how_to_go_on(project: Path, broker: Broker, tmp_path: Path) -> None:
    """The number that it says is in Kafka, no more and no less."""
    before = len(list(records(broker, TOPIC)))
    command = [
        sys.executable,
        "-m",
        "infra.cli",
        "publish",
        str(lines(tmp_path, 60)),
        "--topic",
        TOPIC,
        "--project",
        str(project),
    ]
    process = subprocess.Popen(
        [*command, "--rate", "10"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # which is not ours to begin with under nohup
    )
    deadline = time.monotonic() + 60
    while len(list(records(broker, TOPIC))) < before + 3:
        assert time.monotonic() < deadline, "nothing is sent"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    said = re.search(r"interrupted: (\d+) events were sent; go on after them with --skip (\d+)", errors)
    assert said, errors
    assert process.returncode == 130
    assert int(said[1]) == int(said[2]) == len(list(records(broker, TOPIC))) - before
