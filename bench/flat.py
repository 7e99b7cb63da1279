"""What an event of a key costs that holds many: events a second on hot keys, in order and with late rows.

    python -m bench.flat

A key with 100 events in its longest window, and one with 100,000: count, sum, mean, std, min and max of doubles over 1,
7 and 30 days; all in order, and with one row in a hundred late by up to half of the longest window. Then, in order, what has no
small partial: count_distinct, p50, p99 and last_10. One partition, parallelism 1, the broker on the same cores; the rate of the
second half.
"""

from __future__ import annotations

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
from bench.peers.hot_keys import PERIODS
from bench.peers.job import made_up
from bench.rates import stream_rate
from features.plan import Column, ColumnType, Plan, WindowFeature
from features.times import DAY_MS
from infra.local import jars
from infra.local.broker import Broker

HELD = (100, 100_000)
EVENTS = 1_000_000
ONE_IN = 100
"""Rows, of which one is late."""
FUNCTIONS = ("count", "sum", "mean", "std_pop", "min", "max")
KEPT = ("count_distinct", "p50", "p99", "last_10")
CASES = (("", FUNCTIONS, False), (", 1 % late", FUNCTIONS, True), (", distinct, quantiles, lists", KEPT, False))
"""What the lines say, the functions, and whether some rows are late."""
GOAL = 0.5
"""Of the speed with few events a key: at most twice the cost."""


def rows() -> list[dict[str, Any]]:
    """Each case with few events a key, with many, and what is left of the speed."""
    jars.ensure()
    lines = []
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        for number, (what, functions, late) in enumerate(CASES):
            speeds = []
            for held in HELD:
                topic = f"case-{number}-{held}"
                broker.create_topics({topic: 1})
                with closing(KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=20, batch_size=256 * 1024)) as producer:
                    for key, value in _events(held, late):
                        producer.send(topic, key=key, value=value)
                _, warm = stream_rate(_plan(topic, functions), broker, Path(temporary), parallelism=1)
                speeds.append(warm)
                lines.append(row(f"{held:,} events a key{what}, warm", round(warm), "events/s"))
            name = f"{HELD[-1]:,} events a key / {HELD[0]}{what}, warm"
            lines.append(row(name, round(speeds[-1] / speeds[0], 2), "ratio", goal=GOAL, baseline=1.0))
    return lines


def _events(held: int, late: bool) -> Iterator[tuple[bytes, bytes]]:
    keys, draw = -(-EVENTS // (held * PERIODS)), random.Random(7)
    for number in range(EVENTS):
        behind = draw.randrange(held // 2) * keys if late and number % ONE_IN == 0 else 0
        at, cents = made_up(max(number - behind, number % keys), keys, held)
        card = number % keys
        yield str(card).encode(), b'{"id":%d,"at":%d,"card":%d,"amount":%d.%02d}' % (number, at, card, cents // 100, cents % 100)


def _plan(topic: str, functions: tuple[str, ...]) -> Plan:
    features = tuple(
        WindowFeature(f"spend__{function}_{days}d", function, "amount", days * DAY_MS)
        for days in (1, 7, 30)
        for function in functions
    )
    return payments.plan(f"flat-{topic}", payments.source(topic, Column("amount", ColumnType("float64"))), features)


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
