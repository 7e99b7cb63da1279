"""What is killed comes back: after kill -9 of the scorer, then of Flink, every event has exactly one prediction."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import psutil
import pytest
from kafka import KafkaConsumer, TopicPartition

from features.times import ALWAYS
from infra.local import stack
from infra.local.broker import Broker
from infra.local.stack.record import ready
from infra.settings import Settings, load_settings, run_folder
from jobs.ingest.event_files import Feed
from jobs.ingest.publish import Event, at_rate, feed, merged, publish
from schemas.codec import decode_features, decode_prediction
from tests.support.metrics import Samples, read_metrics
from tests.support.models import register, stumps
from tests.support.streams import records
from tests.support.waits import wait_until

pytestmark = pytest.mark.stack

SERVICE = "handbook"
RATE = 2000


@pytest.fixture
def project(small_copy: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fraud project with data and a model, on the tests' broker."""
    from features.definitions.load import load

    plan = load(small_copy).service(SERVICE).plan
    register(small_copy / "models", plan, stumps([0.01 * i for i in range(len(plan.inputs))]))
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("HEADRACE_SERVICES", SERVICE)
    monkeypatch.setenv("HEADRACE_STREAM__CHECKPOINT_INTERVAL_MS", "5000")
    monkeypatch.setenv("HEADRACE_STREAM__METRICS_PORT", "0")
    return small_copy


def test_every_event_has_one_prediction_after_kills(project: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scorer, then the Flink job, are killed in mid-stream and started again: nothing is lost and nothing is twice.

    The job is killed when it has written vectors since its last checkpoint, and long before its next one.
    """
    settings = load_settings(project)
    try:
        stack.up(project, settings)
        (plan,) = stack.plans_in_use(project, settings)
        feeds = [feed(project / source.history, source.topic, [plan]) for source in plan.sources]
        client = {"bootstrap_servers": broker.bootstrap}
        published: list[int] = []
        killed = threading.Event()
        publisher = threading.Thread(
            target=lambda: published.append(publish(held(feeds, killed), client, at_rate(RATE)).events), daemon=True
        )
        publisher.start()
        events = sum(1 for _ in merged(feeds[:1], ALWAYS))
        wait_until(lambda: _count(broker, plan.predictions_topic) > events // 10)
        _kill(project, settings, f"scorer-{SERVICE}")
        stack.up(project, settings)
        wait_until(lambda: _count(broker, plan.predictions_topic) > events // 3)
        before = _checkpoints(project, settings)
        wait_until(lambda: _checkpoints(project, settings) > before)
        written = _count(broker, plan.features_topic)
        wait_until(lambda: _count(broker, plan.features_topic) > written)
        _kill(project, settings, f"stream-{SERVICE}")
        assert publisher.is_alive(), "the kills are in mid-stream"
        killed.set()
        monkeypatch.setenv("HEADRACE_STREAM__CHECKPOINT_INTERVAL_MS", "1000")
        settings = load_settings(project)
        stack.up(project, settings)
        publisher.join(60)
        wait_until(lambda: _count(broker, plan.predictions_topic) >= events)
        time.sleep(2)  # a second prediction would come by now
        wait_until(lambda: _lag(project, settings) == 0)
    finally:
        stack.down(project, settings)
    predictions = Counter(decode_prediction(r.value).event_id for r in records(broker, plan.predictions_topic))
    assert len(predictions) == events
    assert set(predictions.values()) == {1}
    vectors = defaultdict(set)
    repeats = 0
    for record in records(broker, plan.features_topic):
        vector = decode_features(record.value)
        repeats += vector.event_id in vectors
        customer = [vector.features[feature.name] for feature in plan.windows[0].features]
        vectors[vector.event_id].add(msgspec.json.encode((vector.origin, customer)))
    assert repeats > 0, "Flink repeats what it wrote after its last checkpoint"
    assert {len(values) for values in vectors.values()} == {1}, "a repeat has the same values"


def held(feeds: list[Feed], killed: threading.Event) -> Iterator[Event]:
    """The events of the feeds: those of the second half trickle until both processes have been killed, so in mid-stream."""
    half = sum(1 for _ in merged(feeds, ALWAYS)) // 2
    for number, event in enumerate(merged(feeds, ALWAYS)):
        if number > half:
            killed.wait(0.02)
        yield event


def _kill(project: Path, settings: Settings, name: str) -> None:
    """kill -9 of the process and all its children."""
    row = next(row for row in stack.status(project, settings) if row.name == name)
    assert row.pid is not None
    family = [psutil.Process(row.pid), *psutil.Process(row.pid).children(recursive=True)]
    for process in family:
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(family, 10)


def _metrics(project: Path, settings: Settings) -> Samples:
    """What the stream job says of itself."""
    said = ready(stack.Folders(run_folder(project, settings)), f"stream-{SERVICE}")
    return read_metrics(said.metrics if said else None)


def _checkpoints(project: Path, settings: Settings) -> float:
    """How many the stream job has completed since it started."""
    return _metrics(project, settings).get(("headrace_stream_checkpoints_total", SERVICE, "completed"), 0)


def _lag(project: Path, settings: Settings) -> float:
    """What the metrics of the stream job say that it has not read, beside what else they have to say of it."""
    found = _metrics(project, settings)
    assert found["headrace_stream_restarts_total", SERVICE] == 0
    assert found["headrace_stream_checkpoints_total", SERVICE, "completed"] >= 1
    assert found["headrace_stream_checkpoint_bytes", SERVICE] > 0
    assert sum(name[0] == "headrace_plan_info" for name in found) == 1
    behind = [value for name, value in found.items() if name[0] == "headrace_stream_lag"]
    assert len(behind) == 2 * 2, "of each partition of each source"
    return sum(behind)


def _count(broker: Broker, topic: str) -> int:
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap)) as consumer:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        return sum(consumer.end_offsets(places).values())
