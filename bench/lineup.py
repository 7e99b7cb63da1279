"""One scorer with 1, 10 and 100 models over the same stream, and what a thousand changes of its lineup leave behind.

    python -m bench.lineup

All models are of 100 trees, each a version of its own; one is in production, the others are shadows. First the scorer reads a
full topic: what production then does is its rate, and shadows skip what they cannot take. Then events come at a steady rate that
all can take: what the process uses then, less what it uses with one model and what ONNX Runtime takes, is what a model costs.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import psutil
from kafka import KafkaProducer
from rich.console import Console

from bench.common import row, times
from bench.scorer import (
    LATENCY_RATE,
    LATENCY_RECORDS,
    PARTITIONS,
    SERVICE,
    best_rate,
    cpu_seconds,
    fill,
    latency,
    make_project,
    run_scorer,
    running,
    trained_model,
    vector,
    wait_for,
)
from features.inputs.session import open_session
from features.plan import Plan
from infra.local import jars
from infra.local.broker import Broker
from schemas.topics import DEAD_LETTERS, DEPLOYMENTS, predictions
from serving.kafka.config import SENDER
from serving.models.admit import admit
from serving.models.manifest import read_onnx
from serving.models.registry import Registry
from serving.models.reports import Serving
from serving.predict.loading import Loader

MODELS = (1, 10, 100)
BACKLOG = 30_000
RATE, SECONDS = 100, 8
SWAPS = 1000
MB = 1024 * 1024


class Used(NamedTuple):
    """What a scorer used over the steady events."""

    rate: float
    """Events a second from the full topic."""
    cpu: float
    """Seconds of CPU."""
    memory: float
    """MB."""
    threads: int
    descriptors: int
    shadowed: int
    """Predictions of all shadows."""


def rows() -> list[dict[str, Any]]:
    """A line for each number of models, then the swaps."""
    jars.ensure()
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        folder = Path(temporary) / "project"
        plan = make_project(folder)
        broker.create_topics({plan.features_topic: PARTITIONS, plan.predictions_topic: PARTITIONS})
        broker.create_topics({DEAD_LETTERS.name: 1, DEPLOYMENTS.name: 1})
        registry = Registry(folder / "models")
        onnx = trained_model(len(plan.inputs))
        found: list[dict[str, Any]] = []
        first: Used | None = None
        ort = ort_seconds(registry, plan)
        done = 0
        for number in MODELS:
            add_shadows(broker, registry, plan, onnx, number - 1)
            fill(broker.bootstrap, plan, done, BACKLOG)
            used = measured(broker, registry, plan, folder, done)
            done += BACKLOG + RATE * SECONDS
            first = first or used
            found += lines(number, used, first, ort)
            if number == 1:
                add_shadows(broker, registry, plan, onnx, 1)
                found += under_changes(broker, registry, plan, folder, done)
                done += 2 * LATENCY_RECORDS
        return found + swaps(registry, folder, plan)


def lines(models: int, used: Used, first: Used, ort: float) -> Iterator[dict[str, Any]]:
    """What was measured with so many models."""
    name = f"{models} model{'s' if models > 1 else ''}"
    yield row(f"{name}, production", round(used.rate), "records/s", baseline=round(first.rate))
    yield row(f"{name}, CPU at {RATE}/s", round(used.cpu / (RATE * SECONDS) * 1e6), "µs/event", better="lower")
    yield row(f"{name}, memory", round(used.memory), "MB", better="lower", baseline=round(first.memory))
    yield row(f"{name}, threads", used.threads, "", better="lower", baseline=first.threads)
    yield row(f"{name}, file descriptors", used.descriptors, "", better="lower", baseline=first.descriptors)
    if used.shadowed:
        of_one = (used.cpu - first.cpu) / used.shadowed - ort
        yield row(f"{name}, each beyond ONNX Runtime", round(of_one * 1e6, 1), "µs/event", goal=5, better="lower")
        yield row(f"{name}, ONNX Runtime", round(ort * 1e6, 1), "µs/event", better="lower")


def add_shadows(broker: Broker, registry: Registry, plan: Plan, onnx: bytes, wanted: int) -> None:
    """Until there are so many, each a version of its own with a topic of its own."""
    has = len(registry.deployed(SERVICE).aliases) - 1
    names = [f"shadow-{number}" for number in range(has, wanted)]
    if names:
        broker.create_topics({predictions(SERVICE, alias).name: PARTITIONS for alias in names})
    for alias in names:
        manifest = registry.register(admit(onnx, plan, name=SERVICE, created_at=1))
        registry.set_alias(SERVICE, alias, manifest.version)


def measured(broker: Broker, registry: Registry, plan: Plan, folder: Path, done: int) -> Used:
    """A scorer over a full topic, then at a steady rate."""
    with running(run_scorer, broker.bootstrap, folder) as process:
        wait_for(broker.bootstrap, plan.predictions_topic, done + BACKLOG)
        rate = best_rate(times(broker.bootstrap, plan.predictions_topic)[done:], BACKLOG)
        settled(registry)
        before, cpu = shadowed(registry), cpu_seconds(process)
        send(broker.bootstrap, plan, done + BACKLOG)
        wait_for(broker.bootstrap, plan.predictions_topic, done + BACKLOG + RATE * SECONDS)
        settled(registry)
        used = cpu_seconds(process) - cpu
        memory, threads, descriptors = process.memory_info().rss / MB, process.num_threads(), process.num_fds()
        return Used(rate, used, memory, threads, descriptors, shadowed(registry) - before)


def settled(registry: Registry) -> None:
    """Return when the shadows have nothing more to do: two reports, which come every 5 s, say the same."""
    seen = -1
    while (now := shadowed(registry)) != seen:
        seen = now
        time.sleep(5.5)


def shadowed(registry: Registry) -> int:
    """Predictions of all shadows so far, as the scorer said last."""
    said: list[Serving] = [one for report in registry.reports(SERVICE) for one in report.serving]
    return sum(one.events for one in said if one.alias.startswith("shadow-"))


def send(bootstrap: str, plan: Plan, first: int) -> None:
    """Events at a steady rate."""
    generator, began = random.Random(first), time.monotonic()
    with closing(KafkaProducer(bootstrap_servers=bootstrap, **SENDER)) as producer:
        for number in range(RATE * SECONDS):
            key, value = vector(plan, first + number, generator)
            producer.send(plan.features_topic, value=value, key=key, partition=(first + number) % PARTITIONS)
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))


def ort_seconds(registry: Registry, plan: Plan, batch: int = 8, rounds: int = 2000) -> float:
    """What ONNX Runtime takes for an event, in batches as small as they come at a steady rate."""
    session = open_session(read_onnx(registry.get(SERVICE, 1)))
    x = np.random.default_rng(1).random((batch, len(plan.inputs)), np.float32)
    feed, began = {session.get_inputs()[0].name: x}, time.process_time()
    for _ in range(rounds):
        session.run(None, feed)
    return (time.process_time() - began) / (rounds * batch)


def under_changes(broker: Broker, registry: Registry, plan: Plan, folder: Path, done: int) -> list[dict[str, Any]]:
    """How long events wait while production changes its version every second, beside the same without a change."""
    stop = threading.Event()

    def change() -> None:
        for number in itertools.count():
            if stop.wait(1):
                return
            registry.set_alias(SERVICE, "production", 2 - number % 2)

    with running(run_scorer, broker.bootstrap, folder):
        wait_for(broker.bootstrap, plan.predictions_topic, done)
        calm = latency(broker.bootstrap, plan, plan.predictions_topic, done)
        before = registry.deployed(SERVICE).seq
        changing = threading.Thread(target=change)
        changing.start()
        try:
            changed = latency(broker.bootstrap, plan, plan.predictions_topic, done + LATENCY_RECORDS)
        finally:
            stop.set()
            changing.join()
    changes = registry.deployed(SERVICE).seq - before
    registry.set_alias(SERVICE, "production", 1)
    at = f"at {LATENCY_RATE}/s, {changes} changes of production"
    return [
        row(f"features → predictions {at}, p50", changed[0], "ms", better="lower", baseline=calm[0]),
        row(f"features → predictions {at}, p99", changed[1], "ms", better="lower", baseline=calm[1]),
    ]


def swaps(registry: Registry, folder: Path, plan: Plan) -> list[dict[str, Any]]:
    """What a thousand changes of production leave behind, beside what the first hundred did."""
    from features.definitions.load import load

    loader = Loader(load(folder).service(SERVICE), registry, (10, 1000), lambda topic: PARTITIONS)
    only = registry.deployed(SERVICE)
    placed = [only.production, next(one for alias, one in only.aliases.items() if alias.startswith("shadow-"))]
    deployed = [msgspec.structs.replace(only, aliases={"production": one}) for one in placed if one]
    loaded, process = loader.first(deployed[0]), psutil.Process(os.getpid())
    began = 0.0
    for number in range(SWAPS):
        if number == SWAPS // 10:
            gc.collect()
            memory, descriptors, began = process.memory_info().rss, process.num_fds(), time.perf_counter()
        loaded = loader.next(deployed[(number + 1) % 2], loaded)
    took = (time.perf_counter() - began) / (SWAPS * 0.9) * 1000
    gc.collect()
    grown = (process.memory_info().rss - memory) / MB
    return [
        row(f"{SWAPS} swaps, memory grown", round(grown, 1), "MB", goal=5, better="lower"),
        row(f"{SWAPS} swaps, descriptors grown", process.num_fds() - descriptors, "", goal=0, better="lower"),
        row("a swap, off the loop", round(took, 1), "ms", better="lower"),
    ]


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
