"""The stack with several services: which processes there are, whom they serve, and what becomes of one that died."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from infra.local import stack
from infra.local.broker import Broker
from infra.settings import Settings, load_settings
from schemas.codec import decode_prediction
from tests.support.models import register, stumps
from tests.support.streams import records

pytestmark = pytest.mark.stack

SERVICES = """
cards = FeatureService(name="cards", features=[transaction_amount, customer_spend], tags={"spine": "transactions"})
terminals = FeatureService(name="terminals", features=[terminal_risk], tags={"spine": "transactions"})
"""


@pytest.fixture
def project(small_copy: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fraud project with two services more, each with a model, over topics of their own on the tests' broker."""
    definitions = small_copy / "definitions.py"
    text = definitions.read_text()
    for topic in ("transactions", "labels"):
        text = text.replace(f'topic="{topic}"', f'topic="stack-{topic}"')
    definitions.write_text(text + SERVICES)
    loaded = load(small_copy)
    for service in ("cards", "terminals"):
        plan = loaded.service(service).plan
        register(small_copy / "models", plan, stumps([0.01 * i for i in range(len(plan.inputs))]))
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("HEADRACE_SERVICES", "cards,terminals")
    monkeypatch.setenv("HEADRACE_STREAM__CHECKPOINT_INTERVAL_MS", "500")
    yield small_copy
    stack.down(small_copy, load_settings(small_copy))


@pytest.mark.timeout(600)  # four starts of Flink
def test_services_of_one_spine_share_a_stream_job(project: Path, broker: Broker) -> None:
    """One that comes later has a job of its own; those whose jobs died share one when they start again, and both predict."""
    settings = load_settings(project)
    stack.up(project, settings, ["cards"])
    assert served(project, settings) == {"stream-cards": ("cards",), "scorer-cards": ("cards",)}
    first = pids(project, settings)
    stack.up(project, settings)
    assert served(project, settings) == {
        "stream-cards": ("cards",),
        "stream-terminals": ("terminals",),
        "scorer-cards": ("cards",),
        "scorer-terminals": ("terminals",),
    }
    assert pids(project, settings).items() >= first.items(), "what runs is left alone"
    kill(project, settings, "stream-cards", "stream-terminals")
    stack.up(project, settings)
    both = ("cards", "terminals")
    assert served(project, settings) == {"stream-cards": both, "scorer-cards": ("cards",), "scorer-terminals": ("terminals",)}
    publish(broker)
    for service in both:
        assert predicted(broker, service) == {1, 2}
    kill(project, settings, "stream-cards")
    stack.up(project, settings, ["terminals"])
    assert served(project, settings)["stream-cards"] == both, "the state is of both"


def served(project: Path, settings: Settings) -> dict[str, tuple[str, ...]]:
    """Whom each process serves; all of them run."""
    rows = stack.status(project, settings)
    assert {row.state for row in rows} == {"running"}, rows
    return {row.name: row.services for row in rows}


def pids(project: Path, settings: Settings) -> dict[str, int | None]:
    """The process id of each."""
    return {row.name: row.pid for row in stack.status(project, settings)}


def kill(project: Path, settings: Settings, *names: str) -> None:
    """kill -9 of the processes and all their children."""
    for name in names:
        leader = psutil.Process(pids(project, settings)[name])
        family = [leader, *leader.children(recursive=True)]
        for process in family:
            os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs(family, 10)


def publish(broker: Broker) -> None:
    """Two transactions."""
    now = int(time.time() * 1000)
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for number in (1, 2):
            event = {"transaction_id": number, "event_time": now + number, "customer_id": 1, "terminal_id": 2, "amount": 3}
            producer.send("stack-transactions", json.dumps(event).encode(), b"1")
        producer.flush()


def predicted(broker: Broker, service: str) -> set[int | str]:
    """The ids of the events that the service has a prediction for, once there are two or half a minute has passed."""
    deadline, found = time.monotonic() + 30, set[int | str]()
    while len(found) < 2 and time.monotonic() < deadline:
        found = {decode_prediction(record.value).event_id for record in records(broker, f"predictions.{service}")}
    return found
