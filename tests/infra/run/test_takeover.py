"""Definitions change while a stack serves a running stream: a new plan takes over, and each event has one prediction."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from features.times import moment_text
from infra.cli import run
from infra.local.broker import Broker
from infra.local.stack import Folders
from jobs.history.compute import compute
from schemas import Prediction
from schemas.codec import decode_dead_letter, decode_prediction
from schemas.topics import DEAD_LETTERS
from tests.support.models import register, stumps
from tests.support.num import num_project
from tests.support.streams import records

pytestmark = pytest.mark.stack

NAME = "moving"
KEYS = 7
RATE = 40
HISTORY_HOURS = 3
SECONDS = 90
SETTINGS = f"""
services = ["{NAME}"]

[kafka]
partitions = 2

[stream]
checkpoint_interval_ms = 1000
jvm_options = "-Xmx512m -XX:TieredStopAtLevel=1"
"""
WINDOW = ("time_window=timedelta(hours=1)", "time_window=timedelta(hours=2)")


class Stream:
    """A project, its stack, and events that come at a steady rate from ``since`` on."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder = num_project(folder)
        self.broker = broker
        self.since = int(time.time() * 1000)
        self.sent: list[dict[str, Any]] = []
        (folder / "headrace.toml").write_text(SETTINGS)
        self.define("topic=name", f'topic="{NAME}-" + name')
        self.define('FeatureService(name="num", features=[totals, doubled]', f'FeatureService(name="{NAME}", features=[totals]')
        self.history = [self.event(-i, self.since - i * 3_600_000 * HISTORY_HOURS // 500) for i in range(500, 0, -1)]
        self.write(folder, self.history)
        self.train()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    @staticmethod
    def event(number: int, at: int) -> dict[str, Any]:
        """An event whose values say which it is."""
        return {"id": number, "at": at, "k": f"k{number % KEYS}", "v": number % 50, "c": "é", "n": number, "d": number / 7}

    @staticmethod
    def write(folder: Path, events: list[dict[str, Any]]) -> None:
        """Events as the history of ``num``."""
        columns = {name: [event[name] for event in events] for name in events[0]}
        times = pa.array([datetime.fromtimestamp(at / 1000, UTC) for at in columns["at"]], pa.timestamp("ms", tz="UTC"))
        amounts = pa.array([Decimal(v) for v in columns["v"]], pa.decimal128(18, 2))
        pq.write_table(pa.table({**columns, "at": times, "v": amounts}), folder / "data" / "num.parquet")

    @property
    def folders(self) -> Folders:
        """The parts of its run folder."""
        return Folders(self.folder / ".headrace")

    def define(self, old: str, new: str) -> None:
        """Change definitions.py."""
        file = self.folder / "definitions.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def train(self) -> str:
        """A model in production for the plan as it is defined; gives the plan."""
        plan = load(self.folder).service(NAME).plan
        from features.inputs.columns import input_columns

        inputs = input_columns(plan, plan.inputs)
        register(self.folder / "models", plan, stumps([0.1] * len(inputs)), inputs=inputs)
        return plan.short_digest

    def begin(self) -> None:
        """Publish from now on."""
        self._thread.start()

    def end(self) -> None:
        """Publish no more."""
        self._stop.set()
        self._thread.join()

    def _publish(self) -> None:
        with closing(KafkaProducer(bootstrap_servers=self.broker.bootstrap, linger_ms=0)) as producer:
            while not self._stop.wait(1 / RATE):
                event = self.event(len(self.sent), int(time.time() * 1000))
                producer.send(f"{NAME}-num", json.dumps(event).encode(), event["k"].encode())
                self.sent.append(event)

    def predictions(self) -> list[Prediction]:
        """All that there are."""
        return [decode_prediction(record.value) for record in records(self.broker, f"predictions.{NAME}")]

    def await_all(self) -> list[Prediction]:
        """The predictions, once there is one for each event that was sent by now."""
        wanted = {event["id"] for event in self.sent}
        deadline = time.monotonic() + SECONDS
        while True:
            found = self.predictions()
            missing = wanted - {prediction.event_id for prediction in found}
            if not missing:
                return found
            assert time.monotonic() < deadline, f"{len(missing)} events have no prediction: {sorted(missing)[:5]}"
            time.sleep(0.5)

    def command(self, *words: str) -> int:
        """A command on this project, in this process, where Feast is loaded already."""
        return run([*words, "--project", str(self.folder)])

    def killed(self, *words: str, once: Path) -> None:
        """A command on this project, killed with -9 once a file is there."""
        command = [sys.executable, "-m", "infra.cli", *words, "--project", str(self.folder)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while not once.exists():
                assert process.poll() is None, "it ended before it was killed"
                time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)

    def pids(self) -> dict[str, int]:
        """Of its processes."""
        files = (self.folder / ".headrace" / "processes").glob("*.json")
        return {file.stem: json.loads(file.read_bytes())["pid"] for file in files}

    def values(self, folder: Path, window: tuple[str, str] | None) -> dict[int, dict[str, Any]]:
        """What history gives each event under a plan, over all events that there were."""
        copy = Path(shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".headrace", "models")))
        if window:
            file = copy / "definitions.py"
            file.write_text(file.read_text().replace(*window))
        self.write(copy, [*self.history, *self.sent])
        return {row["id"]: row for row in compute(load(copy).service(NAME)).to_pylist()}


@pytest.fixture
def stream(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    """A stack that was backfilled, and serves a stream."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    made = Stream(tmp_path / "a project", broker)
    until = moment_text(made.since).removesuffix(" UTC").replace(" ", "T")
    try:
        assert made.command("backfill", NAME, "--until", until) == 0
        made.begin()
        yield made
    finally:
        if made._thread.is_alive():
            made.end()
        made.command("down")


def test_a_new_plan_takes_over_from_the_one_that_serves(
    stream: Stream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed window, with `headrace up` killed once in between: for each partition the old plan predicts the events before an
    offset and the new one those from it on, each once and to the bit; before that a plan that fails leaves all as it was."""
    old = load(stream.folder).service(NAME).plan.short_digest
    stream.await_all()
    before = stream.pids()

    stream.define(*WINDOW)
    assert stream.command("up") == 2
    assert "a model scores what it was trained on" in capsys.readouterr().err
    new = stream.train()
    data, hidden = stream.folder / "data" / "num.parquet", tmp_path / "num.parquet"
    data.rename(hidden)
    assert stream.command("up") == 2
    assert f"nothing was taken over: {NAME} runs on as before" in " ".join(capsys.readouterr().err.split())
    assert stream.pids() == before
    stream.await_all()
    hidden.rename(data)

    assert stream.command("up", "--dry-run") == 0
    assert "take over" in capsys.readouterr().out
    assert stream.pids() == before
    stream.killed("up", once=_beside(stream))
    assert stream.pids().items() > before.items(), "what runs is left alone"
    assert stream.command("up") == 0, capsys.readouterr().err + _logs(stream)
    assert stream.pids().keys() == before.keys()
    assert not set(stream.pids().values()) & set(before.values())
    kept = {file.parents[3].name for file in stream.folders.checkpoints.glob("*/*/*/*/chk-*/_metadata")}
    assert len(kept) == 2, "those of the plan before are the way back"

    time.sleep(2)
    stream.end()
    found = stream.await_all()
    assert Counter(prediction.event_id for prediction in found).most_common(1)[0][1] == 1
    assert len(found) == len(stream.sent)
    topics = {f"{NAME}-num", f"features.{NAME}"}
    assert not [
        one for r in records(stream.broker, DEAD_LETTERS.name) if (one := decode_dead_letter(r.value)).origin.topic in topics
    ]
    (taken,) = stream.folders.checkpoints.glob("*/*/*/takeover.json")
    offsets = {int(p): offset for p, offset in json.loads(taken.read_bytes())["offsets"][NAME].items()}
    true = {old: stream.values(tmp_path / "old", (WINDOW[1], WINDOW[0])), new: stream.values(tmp_path / "new", None)}
    plans = Counter[str]()
    for prediction in found:
        receipt = prediction.receipt
        assert receipt.origin is not None
        assert receipt.plan == (old if receipt.origin.offset < offsets[receipt.origin.partition] else new)
        row = true[receipt.plan][int(prediction.event_id)]
        assert {name: row[name] for name in receipt.inputs if name in row} == {
            n: v for n, v in receipt.inputs.items() if n in row
        }
        assert receipt.complete
        plans[receipt.plan] += 1
    assert min(plans[old], plans[new]) > RATE, plans


def _beside(stream: Stream) -> Path:
    """The record of the job beside, which is there once it was started."""
    from features.job import job_plan

    job = job_plan([load(stream.folder).service(NAME).plan])
    return stream.folder / ".headrace" / "processes" / f"stream-{NAME}~{job.short_digest}.json"


def _logs(stream: Stream) -> str:
    return "".join(f"\n== {log.name}\n{log.read_text()[-1500:]}" for log in sorted(stream.folders.logs.glob("s*.log")))
