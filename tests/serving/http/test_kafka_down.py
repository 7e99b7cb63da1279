"""Kafka, a real broker of the test's own, frozen and killed under the HTTP service."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.definitions.load import Project
from infra.local.broker import Broker
from tests.serving.http.live import Live, event, made_live, post, published
from tests.serving.http.support import Running
from tests.serving.kafka.support import wait_until

pytestmark = pytest.mark.stack

SECONDS = 0.5
"""The deadline."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Broker]:
    """A broker that may be harmed."""
    with Broker(tmp_path / "kafka") as made:
        yield made


@pytest.fixture
def live(own: Broker, project: Project, tmp_path: Path) -> Live:
    """A service on it; nothing but the broker runs."""
    return made_live(own, project, tmp_path / "models")


def refused(running: Running, live: Live, one: object) -> None:
    """503 by the deadline, to be tried again; whether the process lives is another question."""
    began = time.monotonic()
    response = post(running, live, one, "wait=100ms")
    assert time.monotonic() - began < SECONDS + 0.5
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert "send it again with the same event id" in response.json["detail"]
    assert running.request("GET", "/healthz").status == 200


def test_while_kafka_is_away_events_are_refused_and_then_published_once(own: Broker, live: Live) -> None:
    """Frozen, then killed: each has 503 by the deadline; sent again, each is on the topic once."""
    with live.serving(deadline_ms=int(SECONDS * 1000)) as running:
        first, frozen, killed = event(), event(), event()
        wait_until(lambda: post(running, live, first, "").status == 202)  # its producer looks for the topic
        os.kill(own.pid, signal.SIGSTOP)
        refused(running, live, frozen)
        os.kill(own.pid, signal.SIGCONT)
        wait_until(lambda: post(running, live, frozen, "").status == 202)
        own.stop()
        refused(running, live, killed)
        refused(running, live, killed)
        stream = running.request("GET", f"/v1/stream/{live.plan.service}")
        assert (stream.status, stream.headers["retry-after"]) == (503, "1")
        own.start()
        wait_until(lambda: post(running, live, killed, "").status == 202)
        ids = published(live)
        assert [ids.count(one["transaction_id"]) for one in (frozen, killed)] == [1, 1]


def test_a_service_that_starts_without_kafka_connects_when_it_is_back(own: Broker, live: Live) -> None:
    """And has 503 for events until then; what was sent in between is published once."""
    own.stop()
    with live.serving(deadline_ms=int(SECONDS * 1000)) as running:
        one = event()
        refused(running, live, one)
        own.start()
        wait_until(lambda: post(running, live, one, "").status == 202)
        assert published(live).count(one["transaction_id"]) == 1
