"""The same stream job with its state on the heap and in RocksDB, incremental checkpoints, in both modes.

    python -m bench.backends

The fraud example's job over 183 days of transactions and labels, parallelism 2, as in bench/throughput.py.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from bench.common import EXAMPLE, handbook_data, publish_history, row
from bench.rates import stream_rate
from bench.throughput import RECORDS_A_TRANSACTION
from infra.local import jars
from infra.local.broker import Broker


def rows() -> list[dict[str, Any]]:
    """Heap and RocksDB, one after the other on one broker; the second half of each run, the JVM being warm."""
    from features.definitions.load import load

    handbook_data()
    plan = load(EXAMPLE).service("handbook").plan
    jars.ensure()
    lines = []
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        broker.create_topics({source.topic: 2 for source in plan.sources})
        publish_history(broker, EXAMPLE, plan)
        for mode in ("arrival", "event_time"):
            warm = {}
            for backend in ("heap", "rocksdb"):
                service = msgspec.structs.replace(plan, service=f"{backend}-{mode}", mode=mode)
                _, rate = stream_rate(service, broker, Path(temporary), state_backend=backend)
                warm[backend] = rate * RECORDS_A_TRANSACTION
            lines.append(row(f"RocksDB, {mode} mode, warm", round(warm["rocksdb"]), "records/s", baseline=round(warm["heap"])))
            ratio = warm["rocksdb"] / warm["heap"]
            lines.append(row(f"RocksDB / heap, {mode} mode, warm", round(ratio, 2), "ratio", goal=0.5, baseline=1.0))
    return lines


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
