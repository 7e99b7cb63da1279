"""The whole handbook stream, 1,754,155 transactions and as many labels, through Kafka and Flink, against the batch engine.

    python -m bench.exact

Event-time mode, parallelism 2. Every value of every vector is held against history's: how many differ, and how long it took.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from bench.common import EXAMPLE, handbook_data, polled, publish_history, row
from bench.rates import stream_rate
from infra.local import jars
from infra.local.broker import Broker
from jobs.audit.compare import compare
from jobs.history.compute import compute
from schemas.codec import decode_features


def rows() -> list[dict[str, Any]]:
    """Values that differ, of all; seconds of the stream job and of the batch engine."""
    from features.definitions.load import load

    handbook_data()
    service = load(EXAMPLE).service("handbook")
    plan = msgspec.structs.replace(service.plan, mode="event_time")
    jars.ensure()
    began = time.perf_counter()
    batch = compute(service)
    batch_seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        broker.create_topics({source.topic: 2 for source in plan.sources})
        publish_history(broker, EXAMPLE, plan)
        began = time.perf_counter()
        stream_rate(plan, broker, Path(temporary))
        stream_seconds = time.perf_counter() - began
        records = (record for some in polled(broker.bootstrap, plan.features_topic) for record in some)
        vectors = [decode_features(record.value) for record in records]
    parity = compare(plan, batch, vectors)
    values = sum(stage.values for stage in parity.stages)
    differing = sum(stage.differing for stage in parity.stages)
    return [
        row("values that differ, stream from batch", differing, f"of {values:,}", goal=0, better="lower"),
        row("events with one feature vector", len({vector.event_id for vector in vectors}), "events", goal=batch.num_rows),
        row("stream, from start to end", round(stream_seconds), "s", better="lower"),
        row("batch, with reading and writing", round(batch_seconds, 1), "s", better="lower"),
    ]


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
