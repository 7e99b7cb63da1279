"""Predictions as server-sent events, from a real broker: resumed without a gap, and never kept for who does not read."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import NamedTuple

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError

from features.definitions.load import Project
from infra.local.broker import Broker
from schemas import Prediction, Receipt
from serving.client import Client, ExpiredError, UnavailableError
from serving.http.tokens import parse
from tests.serving.http.live import Live, made_live
from tests.serving.http.support import Running
from tests.serving.kafka.support import wait_until

pytestmark = pytest.mark.stack
RECEIPT = Receipt(None, "p", "m", 1, "0", {"a": 1}, {}, True, 1, 2, 3)


class Sent(NamedTuple):
    """A server-sent event."""

    id: str
    data: str


class Reader:
    """A client of one stream."""

    def __init__(self, running: Running, path: str, **headers: str) -> None:
        self._connection = http.client.HTTPConnection(running.address, timeout=20)
        self._connection.request("GET", path, headers=headers)
        self.response = self._connection.getresponse()

    def lines(self) -> Iterator[str]:
        """As they come."""
        while line := self.response.readline():
            yield line.decode().rstrip("\n")

    def events(self) -> Iterator[Sent]:
        """As they come, without comments."""
        found: dict[str, str] = {}
        for line in self.lines():
            name, _, value = line.partition(": ")
            if not line and "data" in found:
                yield Sent(found["id"], found["data"])
                found = {}
            found[name] = value

    def take(self, count: int) -> list[Sent]:
        """The next ones."""
        events = self.events()
        return [next(events) for _ in range(count)]

    def close(self) -> None:
        """Leave."""
        self._connection.close()


@contextmanager
def reading(running: Running, live: Live, query: str = "", **headers: str) -> Iterator[Reader]:
    """A reader, gone after the block."""
    with closing(Reader(running, f"/v1/stream/{live.plan.service}?{query}", **headers)) as made:
        yield made


@pytest.fixture(scope="module")
def live(broker: Broker, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Live:
    """A service whose predictions the tests write."""
    return made_live(broker, project, tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def running(live: Live) -> Iterator[Running]:
    """Its HTTP service."""
    with live.serving(heartbeat_ms=300, slow_reader_ms=500, max_streams=3) as made:
        yield made


def write(live: Live, count: int, size: int = 0) -> list[int]:
    """So many predictions, on both partitions in turn; gives their ids, which are new."""
    first = time.time_ns()
    with closing(KafkaProducer(bootstrap_servers=live.broker.bootstrap)) as producer:
        for number in range(count):
            prediction = msgspec.to_builtins(Prediction(first + number, 1, 0.5, RECEIPT))
            value = msgspec.json.encode({**prediction, "more": "x" * size})
            producer.send(live.plan.predictions_topic, value=value, partition=number % 2)
        producer.flush()
    return [first + number for number in range(count)]


def ids(events: list[Sent]) -> list[int]:
    """Of the predictions."""
    return [json.loads(event.data)["event_id"] for event in events]


def test_a_reader_has_what_comes(running: Running, live: Live) -> None:
    """From now on, or all that there is; `until=end` ends it."""
    old = write(live, 3)
    with reading(running, live) as reader:
        assert reader.response.getheader("content-type") == "text/event-stream"
        new = write(live, 4)
        assert sorted(ids(reader.take(4))) == new
    with reading(running, live, "from=beginning&until=end") as reader:
        assert set(ids(list(reader.events()))) >= {*old, *new}


def test_a_stream_is_resumed_without_a_gap(running: Running, live: Live) -> None:
    """After any event, by its id: the rest, in every partition, nothing twice."""
    with reading(running, live) as reader:
        written = write(live, 40)
        first = reader.take(17)
    with reading(running, live, "until=end", **{"Last-Event-ID": first[-1].id}) as reader:
        rest = list(reader.events())
    assert sorted([*ids(first), *ids(rest)]) == written


def test_a_stream_that_is_lost_before_its_first_prediction_is_resumed(running: Running, live: Live) -> None:
    """Where it began: its place comes at once."""
    with reading(running, live) as reader:
        began = next(line for line in reader.lines() if line.startswith("id: ")).removeprefix("id: ")
    written = write(live, 4)
    with reading(running, live, "until=end", **{"Last-Event-ID": began}) as reader:
        assert sorted(ids(list(reader.events()))) == written


@pytest.mark.parametrize(
    ("last", "status"), [("x", 400), ("0:1,", 400), ("0:99999999,1:0", 410), ("0:0,1:0,7:0", 410), ("0:-1", 400)]
)
def test_a_place_that_is_none_is_refused(running: Running, live: Live, last: str, status: int) -> None:
    """400 for what is no id, 410 for what the topic does not have."""
    path = f"/v1/stream/{live.plan.service}"
    assert running.request("GET", path, headers={"Last-Event-ID": last}).status == status
    assert running.request("GET", f"{path}?from=yesterday").status == 400
    assert running.request("GET", "/v1/stream/other").status == 404


def test_a_silent_stream_says_that_it_lives(running: Running, live: Live) -> None:
    """By comments, which no client takes for an event."""
    with reading(running, live) as reader:
        lines = reader.lines()
        while next(lines) != ":":
            pass


def test_a_reader_who_takes_nothing_is_disconnected(running: Running, live: Live) -> None:
    """And its place is free again, though it never left."""
    await_readers(running, live, 0)
    with socket.create_connection(("127.0.0.1", int(running.address.rpartition(":")[2])), 10) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        path = f"/v1/stream/{live.plan.service}?from=beginning"
        slow.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await_readers(running, live, 1)
        write(live, 400, size=20_000)
        await_readers(running, live, 0)


def await_readers(running: Running, live: Live, count: int) -> None:
    """Until the service has so many."""
    wanted = f'headrace_streams{{service="{live.plan.service}"}} {count}.0'.encode()
    wait_until(lambda: wanted in running.request("GET", "/metrics").body, 20)


def test_readers_are_bounded(running: Running, live: Live) -> None:
    """429 beyond `http.max_streams`; who leaves makes room."""
    path = f"/v1/stream/{live.plan.service}"
    readers = [Reader(running, path) for _ in range(3)]
    assert [reader.response.status for reader in readers] == [200] * 3
    refused = running.request("GET", path)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    for reader in readers:
        reader.close()
    deadline = time.monotonic() + 10
    while True:
        with reading(running, live) as reader:
            if reader.response.status == 200:
                break
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_stream_ends_with_the_service(live: Live) -> None:
    """Soon, and properly: the reader comes back with its last id."""
    with live.serving() as running, ThreadPoolExecutor(1) as pool:
        reader = Reader(running, f"/v1/stream/{live.plan.service}")
        rest = pool.submit(reader.response.read)
        running.stop()
        assert rest.result(10).startswith(b"retry: ")


def test_a_bounded_stream_that_is_cut_has_no_end(live: Live) -> None:
    """Neither as the service ends in the midst of it nor as Kafka fails: its reader does not take what it has for all."""
    written = write(live, 200, size=100_000)  # more than connections hold
    all_of_it = partial(Client.predictions, service=live.plan.service, start="beginning", until_end=True)
    with live.serving() as running, Client(f"http://{running.address}", retries=1) as client:
        stream = all_of_it(client)
        found = [next(stream)]
        running.stop()
        with pytest.raises(UnavailableError):
            found.extend(stream)
    with live.serving() as running, Client(f"http://{running.address}") as client:
        found += all_of_it(client, after=found[-1].place)
        assert sorted(int(one.prediction.event_id) for one in found)[-200:] == written
        stream = all_of_it(client)
        next(stream)
        with closing(KafkaAdminClient(bootstrap_servers=live.broker.bootstrap)) as admin:
            admin.delete_records({TopicPartition(live.plan.predictions_topic, number): -1 for number in range(2)})
        with pytest.raises(ExpiredError):
            list(stream)


def test_a_reader_that_opened_too_late_is_closed_on_its_own_thread(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka took longer than a request may: what is open then holds up no other request."""
    closed_by: list[str] = []

    class Late:
        def close(self) -> None:
            """As a consumer is."""
            closed_by.append(threading.current_thread().name)

    def late(*_: object) -> tuple[Late, None, None]:
        time.sleep(0.5)
        return Late(), None, None

    monkeypatch.setattr("serving.http.stream._open", late)
    with live.serving(deadline_ms=100) as running:
        response = running.request("GET", f"/v1/stream/{live.plan.service}")
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        wait_until(lambda: bool(closed_by), 5)
    assert closed_by[0].startswith("stream_")


def test_readers_that_nobody_waits_for_are_not_opened(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Kafka does not reply, who comes and goes leaves nothing behind that is to be done once it does."""
    away, opened = threading.Event(), list[float]()

    def late(*_: object) -> tuple[object, None, None]:
        opened.append(time.monotonic())
        away.wait(10)
        raise KafkaTimeoutError

    monkeypatch.setattr("serving.http.stream._open", late)
    with live.serving(deadline_ms=50, max_streams=2) as running:
        for _ in range(8):
            assert running.request("GET", f"/v1/stream/{live.plan.service}").status == 503
        away.set()
        time.sleep(0.5)
        assert len(opened) == 2


def test_scopes_open_their_own(live: Live) -> None:
    """`publish` opens events, `read` streams, and neither the other."""
    read, publish = "r" * 16, "p" * 16
    with live.serving(tokens=parse(f"{read} read; {publish} publish", "tokens")) as running:
        ways = {("POST", f"/v1/events/{live.topic}"): publish, ("HEAD", f"/v1/stream/{live.plan.service}"): read}
        for (method, path), token in ways.items():
            found = {
                one: running.request(method, path, headers={"Authorization": f"Bearer {one}"}, raw=b"{}").status
                for one in (read, publish)
            }
            assert [found[one] in (401, 403) for one in (token, *({read, publish} - {token}))] == [False, True]
            assert running.request(method, path).status == 401
