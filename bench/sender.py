"""Transactions sent at a steady rate by a process of its own, and the time of each sending."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from kafka import KafkaProducer

from bench.common import process
from features.plan import Plan
from features.times import Span
from jobs.ingest.publish import KeyPartitioner, events, feed
from serving.kafka.config import SENDER

START = 1_533_081_600_000  # 2018-08-01
PATIENCE_SECONDS = 120.0

Stamps = np.ndarray[Any, Any]
"""A row for each event, in the order of sending: its id, and seconds since the epoch at `KafkaProducer.send`."""


class Transaction(msgspec.Struct):
    """What of a transaction is looked at."""

    transaction_id: int

    @property
    def event_id(self) -> int:
        """As messages of ours call it."""
        return self.transaction_id


class Sender:
    """The other end of the process that sends."""

    def __init__(self, pid: int, pipe: Any) -> None:
        self.pid = pid
        self._pipe = pipe

    def send(self, topic: str, count: int, rate: float) -> None:
        """Send the next ``count`` transactions to ``topic``, ``rate`` a second; returns at once."""
        self._pipe.send((topic, count, rate))

    def is_done(self) -> bool:
        """Whether all of the last `send` are sent."""
        return bool(self._pipe.poll())

    def stamps(self) -> Stamps:
        """Those of the last `send`, once all are sent."""
        if not self._pipe.poll(PATIENCE_SECONDS):
            raise RuntimeError(f"the sender was not done after {PATIENCE_SECONDS:.0f} s")
        stamps: Stamps = self._pipe.recv()
        return stamps


@contextmanager
def sender(bootstrap: str, plan: Plan, file: Path, most: int) -> Iterator[Sender]:
    """A process that has the first ``most`` transactions of `START` and later in memory, ready to send."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    with process(_serve, theirs, bootstrap, plan, file, most) as made:
        if not ours.poll(PATIENCE_SECONDS):
            raise RuntimeError(f"the sender was not ready after {PATIENCE_SECONDS:.0f} s")
        ours.recv()
        yield Sender(int(made.pid), ours)


def _serve(pipe: Any, bootstrap: str, plan: Plan, file: Path, most: int) -> None:
    stream = islice(events(feed(file, plan.spine_source.topic, [plan]), Span(START, None)), most)
    chosen = [(event.key, event.value) for event in stream]
    first = 0
    with closing(KafkaProducer(bootstrap_servers=bootstrap, partitioner=KeyPartitioner(), **SENDER)) as producer:
        pipe.send("ready")
        while True:
            topic, count, rate = pipe.recv()
            pipe.send(_send(producer, topic, chosen[first : first + count], rate))
            first += count


def _send(producer: KafkaProducer, topic: str, chosen: list[tuple[Any, bytes]], rate: float) -> Stamps:
    ids = [msgspec.json.decode(value, type=Transaction).transaction_id for _, value in chosen]
    stamps = np.empty((len(chosen), 2))
    producer.partitions_for(topic)
    began = time.time()
    for number, (key, value) in enumerate(chosen):
        wait = began + number / rate - time.time()
        if wait > 0:
            time.sleep(wait)
        stamps[number] = ids[number], time.time()
        producer.send(topic, value=value, key=key)
    producer.flush()
    return stamps
