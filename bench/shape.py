"""What a feature costs: events a second with 1, 3, 10, 30 windows over 1, 3, 10 columns in one view.

    python -m bench.shape

Made events (a key of 2,000, ten amounts in cents) a minute apart within a key; windows spread from 30 days down to a minute, so
that most hold all of a key's 150 events; count, mean and max of each column in each window. Parallelism 2, the broker on the same
cores.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from rich.console import Console

from bench import payments
from bench.common import row
from bench.rates import stream_rate
from features.plan import Column, ColumnType, Plan, WindowFeature
from features.times import DAY_MS
from infra.local import jars
from infra.local.broker import Broker

KEYS = 2_000
EVENTS = 300_000
COLUMNS = (1, 3, 10)
WINDOWS = (1, 3, 10, 30)
START = 1_533_081_600_000
MINUTE = 60_000
SOURCE = payments.source("payments", *(Column(f"amount_{n}", ColumnType("int64")) for n in range(max(COLUMNS))))


def rows() -> list[dict[str, Any]]:
    """All shapes, one after the other over the same topic."""
    jars.ensure()
    lines = []
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        broker.create_topics({SOURCE.topic: 2})
        with closing(KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=20)) as producer:
            for key, value in _events():
                producer.send(SOURCE.topic, key=key, value=value)
        for columns in COLUMNS:
            for windows in WINDOWS:
                _, warm = stream_rate(_plan(windows, columns), broker, Path(temporary))
                features = windows * columns * 3
                lines.append(row(f"{windows} windows, {columns} columns ({features} features), warm", round(warm), "events/s"))
    return lines


def _events() -> Iterator[tuple[bytes, bytes]]:
    draw = random.Random(7)
    for event in range(EVENTS):
        card = event % KEYS
        values = {f"amount_{n}": draw.randrange(1, 100_000) for n in range(max(COLUMNS))}
        yield str(card).encode(), json.dumps({"id": event, "at": START + event // KEYS * MINUTE, "card": card, **values}).encode()


def _plan(windows: int, columns: int) -> Plan:
    step = (30 * DAY_MS - MINUTE) // max(windows - 1, 1)
    lengths = [30 * DAY_MS - step * n for n in range(windows)]
    features = tuple(
        WindowFeature(f"payments__{function}_{column}_{length}", function, f"amount_{column}", length)
        for length in lengths
        for column in range(columns)
        for function in ("count", "mean", "max")
    )
    return payments.plan(f"shape-{windows}-{columns}", SOURCE, features)


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
