"""The online store, a real Redis, frozen and killed under the HTTP service."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features.definitions.load import load
from features.feast.online import open_for_writing, open_online_store
from features.service import Service
from features.times import EPOCH
from tests.serving.http.support import INPUTS, event, serving
from tests.serving.kafka.support import ROOT
from tests.support.models import register, stumps

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs Redis: apt install redis-server"),
]


class Redis:
    """A server on a port of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        self.start()

    def start(self) -> None:
        """Start it, until it listens."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def kill(self) -> None:
        """End it, frozen or not."""
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis without data."""
    made = Redis(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def stored(redis: Redis, tmp_path: Path) -> Service:
    """The fraud example over this Redis, with a row of customer 1, and a model that takes it."""
    folder = tmp_path / "a project"
    shutil.copytree(ROOT / "examples" / "fraud", folder, ignore=shutil.ignore_patterns("data", "models", ".headrace"))
    (folder / "data" / "feast").mkdir(parents=True)
    yaml = (folder / "feature_store.yaml").read_text()
    yaml = yaml.replace("type: sqlite", "type: redis").replace(
        "path: data/feast/online.db", f"connection_string: localhost:{redis.port}"
    )
    (folder / "feature_store.yaml").write_text(yaml)
    service = load(folder).service("fraud")
    write(service)
    register(folder, service.plan, stumps([0.1, 0.2, 0.3]), inputs=INPUTS)
    return service


def write(service: Service, time: datetime = datetime(2018, 7, 31, tzinfo=UTC), customer: int = 1) -> None:
    """The row of customer 1, or another."""
    row = {"customer_id": [customer], "day": [time], "mean_amount": [10.5], "transactions_per_day": [1.0]}
    open_for_writing(service)(service.plan.batch[0], pa.table(row))


def test_a_row_has_its_time_to_the_millisecond(stored: Service) -> None:
    """One earlier, it might be of an event's future."""
    time_ms = 1_099_480_942_922
    write(stored, EPOCH + timedelta(milliseconds=time_ms), customer=9)
    (row,) = open_online_store(stored.folder, stored.objects, stored.plan.batch)(stored.plan.batch[0], [(9,)])
    assert row is not None
    assert row.as_of == time_ms


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_a_store_that_is_down_refuses_within_the_deadline(redis: Redis, stored: Service, how: str) -> None:
    """503 with Retry-After, the first soon and the rest at once; what is cached is used; afterwards all is as before."""
    with serving([stored], stored.folder, store_timeout_ms=200, deadline_ms=900) as running:
        assert running.predict(event(1)).json["predictions"][0]["receipt"]["inputs"]["customer_profile__mean_amount"] == 10.5
        if how == "frozen":
            redis.process.send_signal(signal.SIGSTOP)
        else:
            redis.kill()
        for number in range(5):
            began = time.monotonic()
            response = running.predict(event(100 + number))
            assert (response.status, response.headers["retry-after"]) == (503, "1")
            assert "the online store is down" in response.json["detail"]
            assert time.monotonic() - began < 0.8
        assert running.predict(event(1)).status == 200
        assert running.request("GET", "/healthz").status == 200
        if how == "frozen":
            redis.process.send_signal(signal.SIGCONT)
        else:
            redis.start()
        deadline = time.monotonic() + 15
        while running.predict(event(2)).status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_or_it_is_filled_and_said(redis: Redis, stored: Service) -> None:
    """The prediction is that of an unknown customer, and flagged; one whose row is cached has it."""
    with serving([stored], stored.folder, store_timeout_ms=200, on_store_error="fill") as running:
        whole = running.predict(event(1)).json
        redis.process.send_signal(signal.SIGSTOP)
        down = running.predict(event(7)).json
        cached, mixed = running.predict(event(1)).json, running.predict(event(7), event(1)).json
        redis.process.send_signal(signal.SIGCONT)
    assert (whole["degraded"], down["degraded"], cached["degraded"]) == (False, True, False)
    receipt = down["predictions"][0]["receipt"]
    assert receipt["inputs"]["customer_profile__mean_amount"] is None
    assert (receipt["incomplete"], receipt["complete"]) == ({"customer_profile": "unread"}, False)
    assert cached["predictions"][0]["receipt"]["inputs"]["customer_profile__mean_amount"] == 10.5
    receipts = [one["receipt"] for one in mixed["predictions"]]
    assert mixed["degraded"]
    assert [one["incomplete"] for one in receipts] == [{"customer_profile": "unread"}, {}]
    assert [one["inputs"]["customer_profile__mean_amount"] for one in receipts] == [None, 10.5]
