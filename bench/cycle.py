"""What a cycle of the scorer costs at rates that users have: CPU by part, beside a bare loop that reads and writes the same.

    python -m bench cycle

A cycle is one poll with records, and all that is done for it. Vectors come at a steady rate from this process; the scorer, or the
bare loop, works in one of its own, where timers read the CPU clock of each thread. A batch view in SQLite, 17 inputs, 100 trees.
"""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from rich.console import Console

from bench.common import row
from bench.scorer import PARTITIONS, cpu_seconds, make_project, run_bare, run_scorer, running, vector
from bench.steps import timed
from features.plan import Plan
from infra.local import jars
from infra.local.broker import Broker
from schemas.topics import DEAD_LETTERS, DEPLOYMENTS
from serving.kafka import config as clients
from serving.kafka.delivery import Delivery
from serving.kafka.scorer import Scorer
from serving.predict.lineup import Lineup

RATES = (20, 200, 2000)
SECONDS = 8.0
WARM_UP_RECORDS = 12_000
"""So many that most batch rows are in the cache, as they are in a scorer that has run for a while."""
WARM_UP_RATE = 4000
PARTS: list[tuple[str, Any, str]] = [
    ("the loop: poll", KafkaConsumer, "poll"),
    ("the loop: score and send", Scorer, "_predict"),
    ("of that model and inputs", Lineup, "predict"),
    ("the loop: acknowledged, committed", Delivery, "settle"),
]
THREADS = {
    "MainThread": "the loop's thread",
    "kafka-io": "the consumer's own thread",
    "kafka-python-producer": "the producer's thread",
}


def rows() -> list[dict[str, Any]]:
    """A line for each rate and part."""
    jars.ensure()
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        folder = Path(temporary) / "project"
        plan = make_project(folder)
        broker.create_topics({plan.features_topic: PARTITIONS, plan.predictions_topic: PARTITIONS, "bare": PARTITIONS})
        broker.create_topics({DEAD_LETTERS.name: 1, DEPLOYMENTS.name: 1})
        found, first = [], 0
        for name, target in (("bare loop", run_bare), ("scorer", run_scorer)):
            with running(partial(run_timed, target), broker.bootstrap, folder) as made:
                first = publish(broker.bootstrap, plan, first, WARM_UP_RECORDS, WARM_UP_RATE)
                for rate in RATES:
                    first = publish(broker.bootstrap, plan, first, rate, rate)
                    before, began = look(made.pid, folder), cpu_seconds(made)
                    records = int(rate * SECONDS)
                    first = publish(broker.bootstrap, plan, first, records, rate)
                    after, used = look(made.pid, folder), cpu_seconds(made) - began
                    spent = {part: after[part] - before.get(part, 0.0) for part in after}
                    found += list(lines(f"{name}, {rate}/s", spent, used, records))
    return found


def lines(name: str, spent: dict[str, float], used: float, records: int) -> Iterator[dict[str, Any]]:
    """What was used, by cycle where there are parts."""
    cycles = max(spent.pop("cycles"), 1.0)
    yield row(f"{name}: records a cycle", round(records / cycles, 2), "records")
    yield row(f"{name}: whole process", round(used / cycles * 1e6), "µs/cycle", better="lower")
    for part in spent:
        yield row(f"{name}: {part}", round(spent[part] / cycles * 1e6), "µs/cycle", better="lower")


def publish(bootstrap: str, plan: Plan, first: int, records: int, rate: float) -> int:
    """So many vectors at a steady rate, from number ``first``; gives the next number."""
    generator = random.Random(first)
    with closing(KafkaProducer(bootstrap_servers=bootstrap, **clients.SENDER)) as producer:
        began = time.perf_counter()
        for event in range(first, first + records):
            key, value = vector(plan, event, generator)
            time.sleep(max(0.0, began + (event - first) / rate - time.perf_counter()))
            producer.send(plan.features_topic, value=value, key=key, partition=event % PARTITIONS)
    time.sleep(0.3)
    return first + records


def run_timed(target: Callable[..., None], bootstrap: str, folder: Path, ready: Path) -> None:
    """``target`` with timers around its parts, which a signal has written down."""
    spent: dict[str, float] = defaultdict(float)
    cycles = [0]
    poll = KafkaConsumer.poll

    def counted(*arguments: Any, **named: Any) -> Any:
        polled = poll(*arguments, **named)
        cycles[0] += bool(polled)
        return polled

    def write(*_: object) -> None:
        names = {"cycles": float(cycles[0]), **spent}
        for thread in threading.enumerate():
            named = next((name for start, name in THREADS.items() if thread.name.startswith(start)), None)
            if named is not None:
                names[named] = names.get(named, 0.0) + seconds_of(thread.native_id)
        (folder / "spent.part").write_text(json.dumps(names))
        (folder / "spent.part").rename(folder / "spent.json")

    signal.signal(signal.SIGUSR1, write)
    with ExitStack() as timers:
        KafkaConsumer.poll = counted
        for name, owner, method in PARTS:
            timers.enter_context(timed(owner, method, spent, name))
        target(bootstrap, folder, ready)


def seconds_of(thread: int | None) -> float:
    """CPU of a thread of this process, by the kernel's clock."""
    return time.clock_gettime(~(thread or 0) << 3 | 6)


def look(pid: int, folder: Path) -> dict[str, float]:
    """What the process has used by now."""
    file = folder / "spent.json"
    file.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    while not file.exists():
        time.sleep(0.02)
    found: dict[str, float] = json.loads(file.read_text())
    return found


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
