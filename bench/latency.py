"""From the sending of an event to the reading of its prediction by another client, through the whole system, at three rates.

    python -m bench latency

One broker, one run: the first 30 s after the system said that it is ready; a warm-up, until the JIT compilers of Flink and
Kafka have little to do; then each rate, with what each hop takes and what each process uses of the cores. At the end the floor:
two bare kafka-python loops in a row, which only pass records on, between the same clients. The sender is a process of its
own, the reader is this one; times are one machine's clock, Kafka's own ones in milliseconds.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rich.console import Console

from bench.common import handbook_data, process, row
from bench.cpu import compiler_seconds, cores, jvm_of
from bench.scorer import make_project
from bench.sender import Sender, Stamps, Transaction, sender
from features.collector import collector_paused
from features.plan import Plan
from infra.local import jars, stack
from infra.local.broker import Broker
from infra.local.processes import Processes
from infra.local.stack.record import scorer_name, stream_name
from infra.settings import Settings, load_settings, run_folder
from serving.kafka.config import READER, SENDER
from serving.kafka.scorer import POLL_MS

RATES = (200, 2000, 5000)
"""Events a second."""
SECONDS = 10
FIRST_RATE, FIRST_SECONDS = 2000, 30
WARM_UP_SECONDS = 40
"""The longest warm-up."""
LOOK_SECONDS = 5
CALM = 0.05
"""The system is warm when its compilers take less than this of a core in `LOOK_SECONDS`."""
PATIENCE_SECONDS = 60.0
OVER_FLOOR, FIRST_OVER_FLOOR = 1.5, 5
"""The goals: p99 is at most so many times that of the floor."""
MOST = (FIRST_SECONDS + WARM_UP_SECONDS) * FIRST_RATE + 2 * SECONDS * sum(RATES) + 3 * 2000

HOPS = ("event → features", "features → scored", "scored → read")


class Receipt(msgspec.Struct):
    """When each hop was over, in UTC milliseconds."""

    featured_at: int
    scored_at: int


class Predicted(msgspec.Struct):
    """What of a prediction is looked at."""

    event_id: int
    receipt: Receipt


class Measured(NamedTuple):
    """One rate: quantiles in ms, cores by process."""

    p50: float
    p99: float
    hops: tuple[float, ...]
    """p99 of each of `HOPS`; none for the floor."""
    cores: dict[str, float]


class Track(NamedTuple):
    """What is measured: a way from a topic to another."""

    sender: Sender
    consumer: KafkaConsumer
    source: str
    processes: Mapping[str, tuple[int, ...]]
    decode: Callable[[bytes], Any]


def rows(**overrides: Any) -> list[dict[str, Any]]:
    """System and floor, one after the other on one broker; ``overrides`` are of the system's settings."""
    data = handbook_data()
    jars.ensure()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        plan = make_project(folder)
        options = load_settings(folder, **overrides).kafka.jvm_options
        with (
            Broker(Path(temporary) / "kafka", jvm=options) as broker,
            sender(broker.bootstrap, plan, data / "transactions.parquet", MOST) as sending,
        ):
            first, warm_up, system = _system(broker, sending, folder, plan, overrides)
            floor = _floor(broker, sending)
    lines = [
        *_lines(f"first {FIRST_SECONDS} s at {FIRST_RATE:,}/s", first, floor[FIRST_RATE], FIRST_OVER_FLOOR),
        row("warm-up after it, until the compilers are calm", round(warm_up), "s", better="lower"),
    ]
    for rate in RATES:
        lines += _lines(f"at {rate:,}/s", system[rate], floor[rate], OVER_FLOOR)
    return lines


def _lines(name: str, system: Measured, floor: Measured, most: float) -> list[dict[str, Any]]:
    lines = [
        row(f"event → prediction {name}, p50", round(system.p50, 1), "ms", better="lower", baseline=round(floor.p50, 1)),
        row(
            f"event → prediction {name}, p99",
            round(system.p99, 1),
            "ms",
            goal=round(floor.p99 * most, 1),
            better="lower",
            baseline=round(floor.p99, 1),
        ),
    ]
    for hop, p99 in zip(HOPS, system.hops, strict=True):
        lines.append(row(f"  of that {hop}, p99", round(p99, 1), "ms", better="lower"))
    for process_name, used in system.cores.items():
        beside = floor.cores.get(process_name)
        baseline = None if beside is None else round(beside, 2)
        lines.append(row(f"  {process_name}", round(used, 2), "cores", better="lower", baseline=baseline))
    return lines


def _system(
    broker: Broker, sending: Sender, folder: Path, plan: Plan, overrides: Mapping[str, Any]
) -> tuple[Measured, float, dict[int, Measured]]:
    """The first seconds, how long the warm-up took, and each rate."""
    given = {**overrides, "kafka": {**overrides.get("kafka", {}), "bootstrap": broker.bootstrap}, "services": [plan.service]}
    settings = load_settings(folder, **given)
    try:
        stack.up(folder, settings)
        jvms, processes = _processes(broker, folder, settings, plan.service)
        with _reader(broker.bootstrap, plan.predictions_topic) as consumer:
            topic, decode = plan.spine_source.topic, msgspec.json.Decoder(Predicted).decode
            track = Track(sending, consumer, topic, {**processes, **_clients(sending)}, decode)
            first = _measure(track, FIRST_RATE * FIRST_SECONDS, FIRST_RATE, skip=0)
            warm_up = _warm_up(track, jvms)
            return first, warm_up, {rate: _measure(track, rate * SECONDS, rate) for rate in RATES}
    finally:
        stack.down(folder, settings)


def _processes(
    broker: Broker, folder: Path, settings: Settings, service: str
) -> tuple[tuple[int, int], dict[str, tuple[int, ...]]]:
    """The system's two JVMs, and its processes by name."""
    known = Processes(run_folder(folder, settings))
    scorer, stream = (known.running(name) for name in (scorer_name(service), stream_name((service,))))
    assert scorer is not None
    assert stream is not None
    jvm = jvm_of(stream.pid)
    return (jvm, broker.pid), {"scorer": (scorer.pid,), "broker": (broker.pid,), "Flink's JVM": (jvm,)}


def _clients(sending: Sender) -> dict[str, tuple[int, ...]]:
    return {"bench's clients": (sending.pid, os.getpid())}


def _warm_up(track: Track, jvms: tuple[int, ...]) -> float:
    """Send until the compilers are calm; gives the seconds that it took."""
    began = time.monotonic()
    while time.monotonic() - began < WARM_UP_SECONDS:
        before = sum(map(compiler_seconds, jvms))
        _send_and_read(track, FIRST_RATE * LOOK_SECONDS, FIRST_RATE)
        if sum(map(compiler_seconds, jvms)) - before < CALM * LOOK_SECONDS:
            break
    return time.monotonic() - began


def _floor(broker: Broker, sending: Sender) -> dict[int, Measured]:
    names = ("bare-in", "bare-between", "bare-out")
    broker.create_topics(dict.fromkeys(names, 2))
    with ExitStack() as entered:
        for pair in (names[:2], names[1:]):
            entered.enter_context(process(pass_on, broker.bootstrap, *pair))
        consumer = entered.enter_context(_reader(broker.bootstrap, names[2]))
        processes = {"broker": (broker.pid,), **_clients(sending)}
        track = Track(sending, consumer, names[0], processes, msgspec.json.Decoder(Transaction).decode)
        _send_and_read(track, 3 * FIRST_RATE, FIRST_RATE)
        return {rate: _measure(track, rate * SECONDS, rate) for rate in RATES}


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


def _measure(track: Track, count: int, rate: float, skip: float = 0.2) -> Measured:
    """``count`` events at ``rate``; latencies without the first part of them, ``skip``."""
    with cores(track.processes) as used:
        stamps, arrived = _send_and_read(track, count, rate)
    kept = stamps[int(count * skip) :]
    messages, ends = zip(*(arrived[int(event)] for event, _ in kept), strict=True)
    sent, read = kept[:, 1] * 1000, np.array(ends) * 1000
    p50, p99 = np.percentile(read - sent, (50, 99))
    if not isinstance(messages[0], Predicted):
        return Measured(float(p50), float(p99), (), used)
    featured = np.array([message.receipt.featured_at for message in messages])
    scored = np.array([message.receipt.scored_at for message in messages])
    hops = (float(np.percentile(took, 99)) for took in (featured - sent, scored - featured, read - scored))
    return Measured(float(p50), float(p99), tuple(hops), used)


@contextmanager
def _reader(bootstrap: str, topic: str) -> Iterator[KafkaConsumer]:
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, **READER)) as consumer:
        consumer.assign([TopicPartition(topic, number) for number in range(2)])
        consumer.seek_to_end()
        for partition in consumer.assignment():
            consumer.position(partition)
        yield consumer


@collector_paused()
def _send_and_read(track: Track, count: int, rate: float) -> tuple[Stamps, dict[int, tuple[Any, float]]]:
    """What was sent, and by event what was read of it and when.

    This process, which is the reader, collects no garbage meanwhile: it holds Feast and XGBoost, and all that it reads, and a
    full collection took up to 1.1 s, in which it read nothing.
    """
    arrived: dict[int, tuple[Any, float]] = {}
    track.sender.send(track.source, count, rate)
    deadline = time.monotonic() + count / rate + PATIENCE_SECONDS
    while len(arrived) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{count - len(arrived)} of {count} events were not read {PATIENCE_SECONDS:.0f} s after the last")
        polled = track.consumer.poll(timeout_ms=100)
        now = time.time()
        for records in polled.values():
            for record in records:
                message = track.decode(record.value)
                arrived[message.event_id] = message, now
    return track.sender.stamps(), arrived


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
