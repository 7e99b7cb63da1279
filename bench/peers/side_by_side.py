"""The same job in Headrace and in what a user would pick instead, one after the other on one broker: ``python -m bench peers``.

Events a second over the handbook's transactions, the half year twice, flat out, with the values compared; then the time from
sending an event to reading its features, at two rates. A contender that would take longer than ``SECONDS`` is measured over what
it has done by then.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from kafka import KafkaConsumer, TopicPartition

from bench.common import handbook_data, rate, row
from bench.peers import records
from bench.peers.contenders import PROJECT, Contender, ensure, ours, own_code, plan_for, quix_windows
from bench.peers.job import Job
from bench.sender import Sender, sender
from features.definitions.load import load
from features.times import ALWAYS
from infra.local.broker import Broker
from jobs.ingest.publish import events, feed, publish
from serving.kafka.config import READER

PARTITIONS = 2
SECONDS = 40
RATES = (200, 2000)
LATENCY_SECONDS = 18
BEHIND_SECONDS = 15
"""How long after the last sending a feature vector is waited for."""
FASTER, LATER = 2.5, 1.5
"""Ours is to be so many times as fast as the fastest, and at most so many times as late as the one that is least late."""

FLAT_OUT = (ours(), own_code("bytewax"), own_code("bytewax", 2), own_code("quix"), own_code("quix", 2), quix_windows())
LIVE = (ours(), own_code("bytewax"), own_code("quix"), quix_windows())


def rows(seconds: float = SECONDS, latency_seconds: float = LATENCY_SECONDS, until: int | None = None) -> list[dict[str, Any]]:
    """Latency, then throughput, each on a broker of its own; ``until`` ends the transactions at a time, for a short run."""
    file = handbook_data() / "transactions.parquet"
    ensure()
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        late = latency(broker, Path(temporary), file, latency_seconds)  # first: what is flat out is still being written to disk
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        return throughput(broker, Path(temporary), file, seconds, until) + late


def throughput(broker: Broker, folder: Path, file: Path, seconds: float, until: int | None) -> list[dict[str, Any]]:
    """Events a second in the second half of each run, and the values that differ from ours."""
    plan = load(PROJECT).service("peers").plan
    topic = plan.spine_source.topic
    broker.create_topics({topic: PARTITIONS})
    twice = _twice(file, folder / "twice.parquet", until)
    sent = publish(events(feed(twice, topic, [plan]), ALWAYS), {"bootstrap_servers": broker.bootstrap}).events
    speeds, lines, reference = {}, [], None
    for contender in FLAT_OUT:
        job = Job(broker.bootstrap, topic, f"{contender.topic}.flat", str(folder / f"{contender.topic}.flat"), linger_ms=5)
        records.create(broker, job, PARTITIONS)
        with contender.start(job) as alive:
            records.wait_for(job, alive, sent * contender.records, seconds)
        vectors = records.read(job, sent)
        speeds[contender.name] = rate(vectors.stamps, 0.5) / contender.records
        reference = reference or vectors
        different, compared = reference.differences(vectors)
        if contender is not FLAT_OUT[0]:
            lines.append(
                row(f"values that differ from ours, of {compared:,}: {contender.name}", different, "values", better="lower")
            )
    best = max(speed for name, speed in speeds.items() if name != FLAT_OUT[0].name)
    return [
        row(f"flat out: {name}", round(speed), "events/s", **(_goal(best * FASTER, best) if name == FLAT_OUT[0].name else {}))
        for name, speed in speeds.items()
    ] + lines


def _twice(file: Path, target: Path, until: int | None) -> Path:
    """The transactions before ``until``, and behind them the same again: once is over before all is compiled."""
    again = "transaction_id + (SELECT max(transaction_id) + 1 FROM once) AS transaction_id"
    duckdb.sql(
        f"COPY (WITH once AS (SELECT * FROM '{file}' WHERE epoch_ms(event_time) < {until or 2**53}),"
        f" days AS (SELECT max(event_time)::DATE - min(event_time)::DATE + 1 AS of_once FROM once)"
        f" SELECT * FROM once UNION ALL"
        f" SELECT once.* REPLACE ({again}, event_time + to_days(of_once::INT) AS event_time) FROM once, days"
        f" ORDER BY event_time, transaction_id) TO '{target}' (FORMAT parquet)"
    )
    return target


def _goal(goal: float, baseline: float) -> dict[str, Any]:
    return {"goal": round(goal, 1), "baseline": round(baseline, 1)}


def latency(broker: Broker, folder: Path, file: Path, seconds: float) -> list[dict[str, Any]]:
    """p50 and p99 of each contender at each rate."""
    measured = {contender.name: _latency(broker, folder, file, contender, seconds) for contender in LIVE}
    first, lines = LIVE[0].name, []
    for at in RATES:
        for number, quantile in enumerate((50, 99)):
            best = min(of_one[at][number] for name, of_one in measured.items() if name != first)
            for name, of_one in measured.items():
                goal = _goal(best * FASTER, best) if name == first and quantile == 99 else {}
                value, behind = of_one[at][number], of_one[at][2]
                late = f" ({behind:,} without a vector in time)" if behind else ""
                lines.append(row(f"p{quantile} at {at:,}/s: {name}{late}", round(value, 1), "ms", better="lower", **goal))
    return lines


def _latency(
    broker: Broker, folder: Path, file: Path, contender: Contender, seconds: float
) -> dict[int, tuple[float, float, int]]:
    """p50 and p99 in ms at each rate, and how many events had no features, which count as read at the end of the wait."""
    source = f"live.{contender.topic}"
    job = Job(broker.bootstrap, source, f"{contender.topic}.live", str(folder / source))
    broker.create_topics({source: PARTITIONS})
    records.create(broker, job, PARTITIONS)
    measured, first = dict[int, tuple[float, float, int]](), True
    rates = [*contender.warm_up, *((int(at * seconds), at) for at in RATES)]
    most = sum(count for count, _ in rates)
    with (
        contender.start(job),
        closing(KafkaConsumer(bootstrap_servers=job.bootstrap, **READER)) as reader,
        sender(job.bootstrap, plan_for(job.source, job.target), file, most) as sending,
    ):
        reader.assign([TopicPartition(job.target, number) for number in range(PARTITIONS)])
        reader.seek_to_beginning()
        for count, at in rates:
            patience = records.START_SECONDS if first else BEHIND_SECONDS
            took, without_a_vector = _send_and_read(reader, job, contender, sending, count, at, patience)
            p50, p99 = np.percentile(took[count // 5 :], (50, 99)).tolist()
            measured[int(at)] = p50, p99, without_a_vector
            first = False
    return measured


def _send_and_read(
    reader: KafkaConsumer, job: Job, contender: Contender, sending: Sender, count: int, at: float, patience: float
) -> tuple[np.ndarray[Any, Any], int]:
    """Milliseconds from send to read of an event's last record, in the order of sending; the events without a feature vector."""
    decode = records.decoder_of(job.target).decode
    seen, arrived = dict[int, int](), dict[int, float]()
    sending.send(job.source, count, at)
    deadline = None
    while len(arrived) < count and (deadline is None or time.monotonic() < deadline):
        if deadline is None and sending.is_done():
            deadline = time.monotonic() + patience
        polled = [record.value for of_one in reader.poll(timeout_ms=100).values() for record in of_one]
        now = time.time()
        for event in map(decode, polled):
            seen[event.event_id] = seen.get(event.event_id, 0) + 1
            if seen[event.event_id] == contender.records:
                arrived[event.event_id] = now
    stamps = sending.stamps()
    ended = time.time()
    without_a_vector = sum(int(event) not in arrived for event, _ in stamps)
    return np.array([(arrived.get(int(event), ended) - sent_at) * 1000 for event, sent_at in stamps]), without_a_vector
