"""The clients of a scorer: kafka-python's, whose loop is run by the thread that waits for it."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.future import Future

from infra.local.broker import Broker
from serving.kafka.batches import Batches, Record
from serving.kafka.clients import PollingConsumer, SendingClient, attend
from serving.kafka.loop import FITS, CallersLoop, Loop

LONG = 4_000_000
"""Bytes: more than the buffers of a socket hold."""


@pytest.fixture
def loop() -> Iterator[CallersLoop]:
    """A loop that has been started."""
    made = CallersLoop()
    made.start()
    with closing(made):
        yield made


def test_kafka_python_is_a_version_whose_loop_was_read() -> None:
    """Another has its own loop, which is slower: compare kafka/net, consumer and producer with it, then add it to `FITS`."""
    assert FITS


def test_what_is_waited_for_runs_on_the_thread_that_waits(loop: CallersLoop) -> None:
    """Whether it waits for nothing, for a time or for a future that another thread resolves; what it raises is raised."""
    future = Future()

    async def identify(waits: bool) -> int:
        if waits:
            await loop.sleep(0.01)
            loop.call_later(0.01, lambda: future.success(1))
            await future
        return threading.get_ident()

    async def fail() -> None:
        await loop.sleep(0.001)
        raise ValueError("as it is")

    assert [loop.run(identify, waits) for waits in (False, True)] == [threading.get_ident()] * 2
    with pytest.raises(ValueError, match="as it is"):
        loop.run(fail)
    given = Future()
    threading.Timer(0.02, lambda: loop.call_soon_threadsafe(lambda: given.success(7))).start()
    assert loop.run(lambda: given) == 7


def test_while_nobody_waits_the_loop_has_a_thread_of_its_own(loop: CallersLoop) -> None:
    """Else no heartbeat would be sent while a poll is scored; it lets go as soon as somebody waits."""
    ran = list[int]()
    loop.call_soon_threadsafe(lambda: ran.append(threading.get_ident()))
    deadline = time.monotonic() + 10
    while not ran and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ran
    assert ran != [threading.get_ident()]

    async def identify() -> int:
        return threading.get_ident()

    assert loop.run(identify) == threading.get_ident()


def test_what_the_loop_calls_cannot_wait_for_it(loop: CallersLoop) -> None:
    """It would wait for itself."""

    async def wait() -> None:
        await loop.sleep(0)
        loop.run(lambda: 1)

    with pytest.raises(RuntimeError, match="cannot wait for the loop"):
        loop.run(wait)


def test_a_turn_that_fails_leaves_the_loop_to_the_next(loop: CallersLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing would ever run it again: no poll, and no heartbeat."""

    def fail(timeout: float | None = None) -> None:
        raise OSError("the selector is gone")

    with monkeypatch.context() as patched:
        patched.setattr(loop, "_turn", fail)
        with pytest.raises(OSError, match="the selector is gone"):
            loop.run(lambda: loop.call_soon(lambda: None) and None)
    assert loop.run(lambda: 7) == 7


def test_sockets_are_read_and_written_as_far_as_they_go() -> None:
    """A write waits where the buffers are full; a descriptor that a closed socket had may be another's; nothing is lost."""
    loop = Loop()
    with closing(loop):
        for _ in range(3):  # the descriptors come again
            sent, received = os.urandom(LONG), bytearray()
            one, other = socket.socketpair()
            one.setblocking(False)
            other.setblocking(False)
            loop.call_soon(_write(loop, one, sent))
            reading = loop.call_soon_with_future(_read(loop, other, received, LONG))
            loop.poll(timeout_ms=20_000, future=reading)
            assert bytes(received) == sent
            one.close()
            other.close()


async def _write(loop: Loop, to: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:
        await loop.wait_write(to)
        left = left[to.send(left) :]


async def _read(loop: Loop, source: socket.socket, received: bytearray, count: int) -> None:
    while len(received) < count:
        await loop.wait_read(source)
        received += source.recv(100_000)


@pytest.mark.stack
def test_a_poll_is_sent_in_order_with_one_wake_up(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several partitions, and batches that it fills; each record has its future, and is read once."""
    topic = f"sent-{uuid.uuid4().hex[:8]}"
    broker.create_topics({topic: 2})
    numbers = [range(first, first + 500) for first in range(0, 2000, 500)]
    polls = [[Record(b"%d" % n * 50, b"k", n % 10 // 5, [("n", b"%d" % n)] * (n % 3)) for n in poll] for poll in numbers]
    with (
        closing(KafkaProducer(bootstrap_servers=broker.bootstrap, kafka_client=SendingClient, batch_size=4096)) as producer,
        closing(
            PollingConsumer(topic, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", group_id=topic)
        ) as consumer,
    ):
        attend(producer)
        producer.partitions_for(topic)
        time.sleep(0.2)  # its thread has nothing to do
        batches, woken = Batches(producer, topic), list[int]()
        wake = producer._sender.wakeup

        def counted() -> None:
            woken.append(1)
            wake()

        monkeypatch.setattr(producer._sender, "wakeup", counted)
        futures = [future for poll in polls for future in batches.send(poll)]
        assert len(woken) == len(polls)
        assert all(future.get(timeout=20).topic == topic for future in futures)
        found = read(consumer, sum(map(len, polls)))
    for partition in (0, 1):
        sent = [(one.value, list(one.headers)) for poll in polls for one in poll if one.partition == partition]
        assert [(record.value, record.headers) for record in found[TopicPartition(topic, partition)]] == sent


def read(consumer: PollingConsumer, count: int, seconds: float = 20) -> dict[TopicPartition, list[Any]]:
    """So many records, by their partitions."""
    found: dict[TopicPartition, list[Any]] = {}
    deadline = time.monotonic() + seconds
    while sum(map(len, found.values())) < count and time.monotonic() < deadline:
        for place, records in consumer.poll(timeout_ms=100).items():
            found.setdefault(place, []).extend(records)
    return found
