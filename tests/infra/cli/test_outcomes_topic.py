"""`headrace outcomes` with Kafka: predictions of a topic, and the join of a stream."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from kafka import KafkaConsumer, KafkaProducer

from infra.cli import run
from infra.local.broker import Broker
from schemas import Outcome, Prediction, Receipt
from schemas.codec import decode_outcome, encode
from tests.support.children import child
from tests.support.metrics import read_metrics
from tests.support.num import num_project
from tests.support.streams import records

pytestmark = pytest.mark.stack


def named_project(folder: Path) -> tuple[Path, str]:
    """The project with a service, and topics, of names that no other test has; and the service's."""
    num_project(folder)
    mark = uuid.uuid4().hex[:8]
    name = f"num-{mark}"
    changes = {
        'FeatureService(name="num"': f'FeatureService(name="{name}"',
        "topic=name": f'topic=f"{{name}}-{mark}"',
        "[train.num]": f"[train.{name}]",
        'services = ["num"]': f'services = ["{name}"]',
        'service = "num"': f'service = "{name}"',
    }
    for file in (folder / "definitions.py", folder / "headrace.toml"):
        text = file.read_text()
        for old, new in changes.items():
            text = text.replace(old, new)
        file.write_text(text)
    return folder, name


def predictions_of(folder: Path) -> list[tuple[str, bytes]]:
    """A prediction of each event, with its key."""
    found = []
    for row in pq.read_table(folder / "data" / "num.parquet").to_pylist():
        at = round(row["at"].timestamp() * 1000)
        receipt = Receipt(None, "p", "num", 1, "0", {"n": row["n"]}, {}, True, at, at, at)
        found.append((row["k"], encode(Prediction(row["id"], at, 0.9 if row["id"] % 3 == 2 else 0.2, receipt))))
    return found


def test_predictions_of_a_topic_are_those_of_a_file(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several partitions, up to the end as it is, in any order of the keys; a tombstone says nothing; no topic is one line."""
    folder, name = named_project(tmp_path / "num")
    lines = predictions_of(folder)
    (folder / "predictions.jsonl").write_bytes(b"\n".join(line for _, line in lines))
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)

    def told(*options: str) -> dict[str, Any]:
        assert run(["outcomes", name, "--delay", "1", *options, "--json", "--project", str(folder)]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    topic = f"predictions.{name}.staging"
    assert run(["outcomes", name, "--alias", "staging", "--project", str(folder)]) == 2
    assert topic in capsys.readouterr().err
    broker.create_topics({topic: 3})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for key, line in [*lines, ("gone", None)]:
            producer.send(topic, line, key=str(key).encode())
        producer.flush()
    of_topic = told("--alias", "staging")
    assert of_topic["predictions"] == len(lines) == 48
    assert of_topic["performances"][0]["metrics"]["auc"]["value"] == 1.0
    of_file = told("--predictions", str(folder / "predictions.jsonl"))
    counted = [
        [(one["kind"], one["name"], one["rows"], one["labelled"]) for one in of["performances"]] for of in (of_topic, of_file)
    ]
    assert counted[0] == counted[1]


def test_the_stream_joins_what_the_command_joins(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--stream` writes outcomes as predictions and labels come, and `--joined` reads them: row for row what a new join gives."""
    folder, name = named_project(tmp_path / "num")
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("HEADRACE_OUTCOMES__METRICS_PORT", "0")
    broker.create_topics({f"predictions.{name}": 2})
    command = [sys.executable, "-m", "infra.cli", "outcomes", name, "--stream", "--project", str(folder)]
    ready = folder / ".headrace" / "ready" / f"outcomes-{name}"
    with (
        child(command, tmp_path / "outcomes.log") as process,
        closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer,
    ):
        for key, line in predictions_of(folder):
            producer.send(f"predictions.{name}", line, key=key.encode())
        producer.flush()
        until(lambda: ready.is_file(), process)
        labels = f"outcomes-{name.removeprefix('num-')}"
        assert run(["publish", str(folder / "data" / "outcomes.parquet"), "--topic", labels, "--project", str(folder)]) == 0
        joined = until(lambda: [one for one in outcomes_of(broker, name) if one.label is not None], process, 48)
        metrics = read_metrics(json.loads(ready.read_text())["metrics"])
    assert {one.key for one in joined} == {"k0", "k1", "k2"}
    assert metrics["headrace_stream_restarts_total", f"outcomes.{name}"] == 0
    capsys.readouterr()
    found = {}
    for how in ("--joined", "--horizon=30d"):
        out = tmp_path / f"{how}.parquet"
        words = ["outcomes", name, "--delay", "1", how, "--by", "c", "--out", str(out), "--json", "--project", str(folder)]
        assert run(words) == 0
        told = json.loads(capsys.readouterr().out)
        counted = [(one["kind"], one["name"], one["rows"], one["labelled"]) for one in told.pop("performances")]
        found[how] = told, counted, sorted(pq.read_table(out).to_pylist(), key=lambda row: str(row["event_id"]))
    assert found["--joined"] == found["--horizon=30d"]
    assert run(["outcomes", name, "--joined", "--by", "n2", "--project", str(folder)]) == 2
    assert "a written outcome has no inputs" in capsys.readouterr().err


def test_a_second_job_is_refused_and_a_signal_to_the_group_ends_the_first_in_silence(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second leaves the first as it is, and says how to stop it; the group has a JVM in it, as that of a terminal has."""
    folder, name = named_project(tmp_path / "num")
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    broker.create_topics({f"predictions.{name}": 1})
    words = ["outcomes", name, "--stream", "--project", str(folder)]
    ready, log = folder / ".headrace" / "ready" / f"outcomes-{name}", tmp_path / "outcomes.log"
    with child([sys.executable, "-m", "infra.cli", *words], log) as process:
        until(ready.is_file, process)
        assert run(words) == 2
        assert "'headrace up' with outcomes.run = false stops a stack's, Ctrl-C one" in capsys.readouterr().err
        assert ready.is_file(), "the first is as ready as before"
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0
    assert steps(log) == ["stream.start", "stream.running", "stream.stop"]


def test_a_signal_to_the_group_is_as_quiet_while_flink_starts(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was asked of the JVM then fails with it."""
    folder, name = named_project(tmp_path / "num")
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    broker.create_topics({f"predictions.{name}": 1})
    log = tmp_path / "outcomes.log"
    command = [sys.executable, "-m", "infra.cli", "outcomes", name, "--stream", "--project", str(folder)]
    with child(command, log) as process:
        until(lambda: psutil.Process(process.pid).children(), process)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0
    assert steps(log) == ["stream.start", "stream.stop"]


def steps(log: Path) -> list[str]:
    """What each line of a job's log tells, none of which may be of anything else."""
    return [line.split("]")[1].split()[0] for line in log.read_text().splitlines()]


def outcomes_of(broker: Broker, name: str) -> list[Outcome]:
    """All on the topic; none where there is no topic yet."""
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap)) as consumer:
        if f"outcomes.{name}" not in consumer.topics():
            return []
    return [decode_outcome(record.value) for record in records(broker, f"outcomes.{name}")]


def until(condition: Callable[[], Any], process: subprocess.Popen[bytes], count: int = 1, seconds: float = 120) -> Any:
    """What the condition gives, once it is so many, or true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if (len(found) if isinstance(found, list) else found) >= count:
            return found
        assert process.poll() is None, "the job has ended; its log is beside the project"
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.2)
