"""What a Kafka transaction for each poll would cost a scorer, beside the lease that it has.

    python -m bench.fencing

Two loops that read feature vectors and write the same bytes on, as the bare loop of the scorer's bench does: one sends them at
once and commits on a timer, the other within a transaction for each poll that holds the offsets too. Their reader is at
``read_committed``, as Headrace's are.
"""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata
from rich.console import Console

from bench.common import rate, row, times
from bench.scorer import (
    LATENCY_RATE,
    LATENCY_RECORDS,
    PARTITIONS,
    SERVICE,
    WARM_UP,
    fill,
    latency,
    make_project,
    run_bare,
    running,
    wait_for,
)
from infra.local import jars
from infra.local.broker import Broker
from infra.settings import ScorerSettings
from serving.kafka import config as clients
from serving.kafka.scorer import POLL_MS

RECORDS = 100_000


def rows() -> list[dict[str, Any]]:
    """Flat out, then at a steady rate."""
    jars.ensure()
    contenders: dict[str, Callable[..., None]] = {"bare": run_bare, "transactional": run_transactional}
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        folder = Path(temporary) / "project"
        plan = make_project(folder)
        broker.create_topics(dict.fromkeys([plan.features_topic, *contenders], PARTITIONS))
        fill(broker.bootstrap, plan, 0, RECORDS)
        flat: dict[str, float] = {}
        for name, target in contenders.items():
            with running(target, broker.bootstrap, folder):
                wait_for(broker.bootstrap, name, RECORDS)
                flat[name] = rate(times(broker.bootstrap, name)[:RECORDS], WARM_UP)
        first, way = RECORDS, dict[str, tuple[float, float]]()
        for name, target in contenders.items():
            with running(target, broker.bootstrap, folder):
                way[name] = latency(broker.bootstrap, plan, name, first, isolation_level="read_committed")
            first += LATENCY_RECORDS
    at, bare, ours = f"at {LATENCY_RATE}/s", way["bare"], way["transactional"]
    return [
        row("a transaction for each poll", round(flat["transactional"]), "records/s", baseline=round(flat["bare"])),
        row(f"features → records {at}, p50", ours[0], "ms", better="lower", baseline=bare[0]),
        row(f"features → records {at}, p99", ours[1], "ms", better="lower", baseline=bare[1]),
    ]


def run_transactional(bootstrap: str, folder: Path, ready: Path) -> None:
    """Read, and write the same bytes, a transaction for each poll."""
    member = {"group_id": "transactional", "max_poll_records": ScorerSettings().max_poll_records}
    consumer = KafkaConsumer(f"features.{SERVICE}", bootstrap_servers=bootstrap, **member, **clients.READER)
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id="transactional.0", **clients.SENDER)
    producer.init_transactions()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.is_set():
        polled = consumer.poll(timeout_ms=POLL_MS)
        if consumer.assignment():
            ready.touch()
        if not polled:
            continue
        producer.begin_transaction()
        for records in polled.values():
            for record in records:
                producer.send("transactional", value=record.value, key=record.key, partition=record.partition)
        offsets = {place: OffsetAndMetadata(records[-1].offset + 1, "", -1) for place, records in polled.items()}
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
        producer.commit_transaction()
    consumer.close()


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
