"""`headrace monitor` on a real broker retrains by itself: a unit changes, an alarm opens, a model is trained and in staging."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from features.inputs.arrow import table_matrix
from features.times import day_ms
from infra.local.broker import Broker
from infra.models import registering
from infra.train_settings import TrainSettings
from jobs.history.compute import compute
from jobs.training.fitted import onnx_scores
from jobs.training.split import Split
from jobs.training.train import train
from schemas import Prediction, Receipt
from schemas.codec import encode
from schemas.deployment import LogEntry
from schemas.topics import predictions
from serving.models.manifest import read_onnx
from serving.models.registry import Registry
from tests.support.waits import wait_until

pytestmark = pytest.mark.stack

SECONDS = 240
"""A training of a small example, on a machine that does other things."""


class Watched:
    """A copy of the example whose service is the test's own, with a version in production that was trained on a week of April."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder, self.bootstrap, self.service = folder, broker.bootstrap, f"watched_{uuid.uuid4().hex[:8]}"
        for file in (folder / "definitions.py", folder / "headrace.toml"):
            file.write_text(file.read_text().replace('name="handbook"', f'name="{self.service}"'))
        config = TrainSettings(label="labels.is_fraud", trees=5).config
        self.registry = Registry(folder / "models")
        of = load(folder).service(self.service)
        train(of, config, Split(date(2018, 4, 20), 7, 7, 7), register=registering(self.registry))
        self.registry.set_alias(self.service, "production", 1)
        broker.create_topics({predictions(self.service).name: 1})

    def settings(self, when: str, **more: object) -> None:
        """What is trained, and when by itself."""
        keys = "".join(f"{name} = {str(value).lower()}\n" for name, value in more.items())
        text = (
            f'[train.{self.service}]\nlabel = "labels.is_fraud"\ntrees = 5\n[train.{self.service}.retrain]\nwhen = ["{when}"]\n'
        )
        (self.folder / "headrace.toml").write_text(text + keys)

    def send(self) -> None:
        """Production's predictions of ten days; amounts are in cents from the fifth on."""
        cents = "amount * (CASE WHEN event_time >= TIMESTAMP '2018-05-08' THEN 100 ELSE 1 END)"
        data = self.folder / "data"
        duckdb.sql(
            f"COPY (SELECT * REPLACE (CAST({cents} AS DECIMAL(12, 2)) AS amount) FROM '{data}/transactions.parquet') "
            f"TO '{data}/cents.parquet'"
        )
        of, model = load(self.folder).service(self.service), self.registry.get(self.service, 1)
        span = {"start_ms": day_ms(date(2018, 5, 4)), "end_ms": day_ms(date(2018, 5, 14))}
        table = compute(of, **span, histories={"transactions": data / "cents.parquet"})
        names = model.manifest.inputs
        x = table_matrix(table, of.plan, names)
        ids, times = table[of.plan.spine_source.event_id].to_pylist(), table["event_time"].to_pylist()
        with closing(KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5)) as producer:
            for row, (event, at, score) in enumerate(zip(ids, times, onnx_scores(read_onnx(model), x), strict=True)):
                inputs = {n: None if np.isnan(v) else float(v) for n, v in zip(names, x[row], strict=True)}
                receipt = Receipt(None, of.plan.short_digest, self.service, 1, "", inputs, {}, True, at, at, at)
                message = Prediction(event_id=event, event_time=at, score=float(score), receipt=receipt)
                producer.send(predictions(self.service).name, encode(message), partition=0)
            producer.flush()

    def entries(self) -> list[LogEntry]:
        """The log, but for the first: production's."""
        return list(Registry(self.folder / "models").entries(self.service, 1))

    def log(self) -> str:
        """What looks said."""
        file = self.folder / ".headrace" / "logs" / f"retrain-{self.service}.log"
        return file.read_text() if file.exists() else ""

    @contextmanager
    def monitor(self) -> Iterator[subprocess.Popen[bytes]]:
        """A monitor of its own process; killed after the block."""
        more = {
            "HEADRACE_KAFKA__BOOTSTRAP": self.bootstrap,
            "HEADRACE_MONITOR__MIN_EVENTS": "100",
            "HEADRACE_MONITOR__WAIT_MS": "0",
        }
        command = [sys.executable, "-P", "-m", "infra.cli", "monitor", self.service, "--project", str(self.folder)]
        process = subprocess.Popen(command, env={**os.environ, **more})
        try:
            yield process
        finally:
            process.kill()
            process.wait(30)


@pytest.fixture
def watched(small_data: Path, broker: Broker, tmp_path: Path) -> Watched:
    """The test's own."""
    return Watched(Path(shutil.copytree(small_data, tmp_path / "project")), broker)


def test_a_shift_is_an_alarm_and_a_newer_model_is_in_staging(watched: Watched) -> None:
    """By a monitor that is killed and started again: it is retrained once, and the log has why."""
    watched.settings("drift", look_minutes=0.01)
    with watched.monitor():
        wait_until(lambda: "no alarm of" in watched.log(), SECONDS)
        watched.send()
        wait_until(lambda: any(entry.action == "alias" for entry in watched.entries()), SECONDS)
    first, second = watched.entries()
    assert (first.action, first.why) == ("postpone", f"retrain: not for drift: no alarm of {watched.service} v1 is open")
    assert (second.alias, second.version) == ("staging", 2)
    assert "for drift: alarm" in second.why
    assert "trained on 2018-04-24 to 2018-04-30, tested on 2018-05-08 to 2018-05-14; average precision" in second.why
    before = watched.log()
    with watched.monitor():
        wait_until(lambda: "not now: retrain" in watched.log()[len(before) :], SECONDS)
    assert [entry.action for entry in watched.entries()] == ["postpone", "alias", "postpone"]
    assert Registry(watched.folder / "models").versions(watched.service) == (1, 2)


def test_a_retrain_that_fails_changes_nothing_and_the_monitor_goes_on(watched: Watched) -> None:
    """It is to learn from what was served, and no receipt reaches back to the days of training."""
    watched.settings("drift", look_minutes=0.01, from_served=True)
    watched.send()
    with watched.monitor() as process:
        wait_until(lambda: any(entry.action == "fail" for entry in watched.entries()), SECONDS)
        wait_until(lambda: "not now: retrain" in watched.log(), SECONDS)
        assert process.poll() is None
    failed = next(entry for entry in watched.entries() if entry.action == "fail")
    assert "for drift: alarm" in failed.why
    assert "got 0 rows" in failed.why
    assert {alias: p.version for alias, p in watched.registry.deployed(watched.service).aliases.items()} == {"production": 1}
    assert Registry(watched.folder / "models").versions(watched.service) == (1,)
