"""From the sending of an event to the reading of its prediction by another client, through the whole system, at three rates.

    python -m bench.latency

Beside it the floor: two bare kafka-python loops in a row, which only pass records on, read and written by the same clients.
Sender and reader are processes of their own; the times are one machine's clock at ``send`` and after ``poll``. The system is
warmed up by 80,000 events first; the first fifth of each measurement is left out.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rich.console import Console

from bench.common import handbook_data, process, row
from bench.scorer import make_project
from features.plan import Plan
from features.times import Span
from infra.local import jars, stack
from infra.local.broker import Broker
from infra.settings import load_settings
from jobs.ingest.publish import KeyPartitioner, events, feed
from serving.kafka.config import READER, SENDER
from serving.kafka.scorer import POLL_MS

RATES = {200: (3, 10), 2000: (8, 20), 5000: (12, 40)}
"""Events a second, and the goals for p50 and p99 in ms."""
SECONDS = 12
WARM_UP = 80_000
START = 1_533_081_600_000  # 2018-08-01


class _Id(msgspec.Struct):
    event_id: int


def rows() -> list[dict[str, Any]]:
    """Floor and system, one after the other on one broker, at each rate."""
    data = handbook_data()
    jars.ensure()
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        folder = Path(temporary) / "project"
        plan = make_project(folder)
        file = data / "transactions.parquet"
        floor = _floor(broker, plan, file)
        system = _system(broker, folder, plan, file)
    lines = []
    for rate, goals in RATES.items():
        for place, quantile in enumerate((50, 99)):
            name = f"event → prediction at {rate:,}/s, p{quantile}"
            ours, base = round(system[rate][place], 1), round(floor[rate][place], 1)
            lines.append(row(name, ours, "ms", goal=goals[place], better="lower", baseline=base))
    return lines


def _floor(broker: Broker, plan: Plan, file: Path) -> dict[int, tuple[float, float]]:
    names = ("bare-in", "bare-between", "bare-out")
    broker.create_topics(dict.fromkeys(names, 2))
    with process(pass_on, broker.bootstrap, *names[:2]), process(pass_on, broker.bootstrap, *names[1:]):
        return _measure(broker.bootstrap, plan, file, names[0], names[2], decode=msgspec.json.Decoder(_Transaction).decode)


class _Transaction(msgspec.Struct):
    transaction_id: int

    @property
    def event_id(self) -> int:
        return self.transaction_id


def _system(broker: Broker, folder: Path, plan: Plan, file: Path) -> dict[int, tuple[float, float]]:
    settings = load_settings(folder, kafka={"bootstrap": broker.bootstrap}, services=[plan.service])
    try:
        stack.up(folder, settings)
        topics = plan.spine_source.topic, plan.predictions_topic
        return _measure(broker.bootstrap, plan, file, *topics, decode=msgspec.json.Decoder(_Id).decode)
    finally:
        stack.down(folder, settings)


def pass_on(bootstrap: str, source: str, target: str) -> None:
    """A bare loop: read, and write the same bytes."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, **READER)
    consumer.assign([TopicPartition(source, number) for number in range(2)])
    consumer.seek_to_beginning()
    producer = KafkaProducer(bootstrap_servers=bootstrap, **SENDER)
    while True:
        for records in consumer.poll(timeout_ms=POLL_MS).values():
            for record in records:
                producer.send(target, value=record.value, key=record.key, partition=record.partition)


def _measure(bootstrap: str, plan: Plan, file: Path, source: str, target: str, decode: Callable[[bytes], Any]) -> dict[int, Any]:
    measured, first = {}, WARM_UP
    with _reader(bootstrap, target) as read:
        _send_and_read(read, decode, bootstrap, plan, file, source, 0, WARM_UP, 10_000)
        for rate in RATES:
            count = rate * SECONDS
            took = _send_and_read(read, decode, bootstrap, plan, file, source, first, count, rate)
            measured[rate] = tuple(np.percentile(took[count // 5 :], (50, 99)).tolist())
            first += count
    return measured


@contextmanager
def _reader(bootstrap: str, topic: str) -> Iterator[Callable[[], Iterator[bytes]]]:
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, **READER)) as consumer:
        consumer.assign([TopicPartition(topic, number) for number in range(2)])
        consumer.seek_to_end()
        for partition in consumer.assignment():
            consumer.position(partition)
        yield lambda: (record.value for records in consumer.poll(timeout_ms=100).values() for record in records)


def _send_and_read(
    read: Callable[[], Iterator[bytes]], decode: Callable[[bytes], Any], bootstrap: str, plan: Plan, file: Path, *sending: Any
) -> np.ndarray[Any, Any]:
    """Milliseconds from send to read, in the order of sending."""
    arrived: dict[int, float] = {}
    count = sending[2]
    with tempfile.NamedTemporaryFile(suffix=".npy") as sent:
        with process(send, bootstrap, plan, file, sent.name, *sending) as sender:
            deadline = time.monotonic() + 120
            while len(arrived) < count and time.monotonic() < deadline:
                values = list(read())
                now = time.time()
                arrived.update((decode(value).event_id, now) for value in values)
            sender.join(20)
        stamps = np.load(sent.name)
    if len(arrived) < count:
        raise RuntimeError(f"{count - len(arrived)} of {count} events had no prediction after 120 s")
    return np.array([(arrived[int(event)] - at) * 1000 for event, at in stamps])


def send(bootstrap: str, plan: Plan, file: Path, out: str, topic: str, first: int, count: int, rate: float) -> None:
    """Transactions ``first`` to ``first + count`` of the day at ``rate``; their ids and the times of sending go to ``out``."""
    stream = events(feed(file, plan.spine_source.topic, [plan]), Span(START, None))
    chosen = list(islice(stream, first, first + count))
    ids = [msgspec.json.decode(event.value, type=_Transaction).transaction_id for event in chosen]
    stamps = np.empty((count, 2))
    with closing(KafkaProducer(bootstrap_servers=bootstrap, partitioner=KeyPartitioner(), **SENDER)) as producer:
        producer.partitions_for(topic)
        began = time.time()
        for number, event in enumerate(chosen):
            wait = began + number / rate - time.time()
            if wait > 0:
                time.sleep(wait)
            stamps[number] = ids[number], time.time()
            producer.send(topic, value=event.value, key=event.key)
        producer.flush()
    np.save(out, stamps)


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
