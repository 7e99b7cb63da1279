"""Where a scorer's time goes between poll and produce: microseconds of CPU an event, step by step.

    python -m bench.steps

The scorer reads a full topic on a thread of this process; the functions that are its steps are wrapped in timers, which are read
once a poll, and for a send once a record. The rest of the process is kafka-python's own threads.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer
from rich.console import Console

from bench.common import row
from bench.scorer import PARTITIONS, SERVICE, fill, make_project, wait_for
from features.definitions.load import load
from infra.config import scorer_config
from infra.kafka.settings import KafkaSettings
from infra.local import jars
from infra.local.broker import Broker
from infra.settings import ScorerSettings
from schemas.topics import DEAD_LETTERS, DEPLOYMENTS
from serving.kafka.batches import Batches
from serving.kafka.delivery import Delivery
from serving.kafka.run import run
from serving.kafka.scorer import Scorer
from serving.models.registry import Registry
from serving.models.session import LoadedModel
from serving.predict.predictor import Predictor
from serving.predict.vector import Events, Vectors

RECORDS = 100_000
STEPS: list[tuple[str, Any, str]] = [
    ("whole", Scorer, "step"),
    ("poll: fetch and parse", KafkaConsumer, "poll"),
    ("decode, drop repeats", Scorer, "_new"),
    ("to columns", Vectors, "events"),
    ("batch rows", Events, "look_up"),
    ("_vectors", Events, "vectors"),
    ("on-demand functions", Events, "_complete"),
    ("model", LoadedModel, "score"),
    ("_attempt", Predictor, "_attempt"),
    ("send: into a batch", Batches, "send"),
    ("_settle", Delivery, "settle"),
    ("_end", Delivery, "end_poll"),
    ("_check", Delivery, "check"),
]


def rows() -> list[dict[str, Any]]:
    """A line for each step."""
    jars.ensure()
    spent: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker, ExitStack() as timers:
        folder = Path(temporary) / "project"
        plan = make_project(folder)
        broker.create_topics({plan.features_topic: PARTITIONS, plan.predictions_topic: PARTITIONS})
        broker.create_topics({DEAD_LETTERS.name: 1, DEPLOYMENTS.name: 1})
        fill(broker.bootstrap, plan, 0, 2 * RECORDS)
        for name, owner, method in STEPS:
            timers.enter_context(timed(owner, method, spent, name))
        config = scorer_config(ScorerSettings(), SERVICE, client=KafkaSettings().client(broker.bootstrap))
        stop, service = threading.Event(), load(folder).service(SERVICE)
        thread = threading.Thread(target=run, args=(service, Registry(folder / "models"), config, stop))
        thread.start()
        wait_for(broker.bootstrap, plan.predictions_topic, RECORDS)  # warm
        before, cpu = dict(spent), time.process_time()
        wait_for(broker.bootstrap, plan.predictions_topic, 2 * RECORDS)
        cpu = time.process_time() - cpu
        used = {name: (spent[name] - before.get(name, 0.0)) / RECORDS * 1e6 for name in spent}
        stop.set()
        thread.join()
    return list(lines(used, cpu / RECORDS * 1e6))


def lines(used: dict[str, float], process: float) -> Iterator[dict[str, Any]]:
    """Each step by itself: what is called within another is not counted there."""
    vectors = used.pop("_vectors") - used["on-demand functions"]
    predictions = used.pop("_attempt") - used["model"] - vectors - used["on-demand functions"]
    whole = used.pop("whole")
    acknowledged = sum(used.pop(name) for name in ("_settle", "_end", "_check"))
    steps = {**used, "input vectors": vectors, "predictions as JSON": predictions, "acknowledged, committed": acknowledged}
    steps["the rest of the loop"] = whole - sum(steps.values())
    steps["kafka-python's threads, and the clients that measure"] = process - whole
    for name, microseconds in steps.items():
        yield row(name, round(microseconds, 2), "µs/event", better="lower")
    yield row("whole process", round(process, 1), "µs/event", better="lower")


@contextmanager
def timed(owner: Any, method: str, spent: dict[str, float], name: str) -> Iterator[None]:
    """Within, what a method uses of its thread's CPU is added up."""
    plain: Callable[..., Any] = getattr(owner, method)

    def call(*arguments: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return plain(*arguments, **named)
        finally:
            spent[name] += time.thread_time() - began

    setattr(owner, method, call)
    try:
        yield
    finally:
        setattr(owner, method, plain)


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
