"""What a monitor costs: the scorer with and without one beside it, and the monitor's own rate and memory.

    python -m bench monitor

The scorer of `bench.scorer` works off full topics of feature vectors, then is sent 200 a second, each by turns alone and with
`headrace monitor` reading its predictions; the broker is on the same cores. The best of the rounds counts, of each kind as many.
The monitor's own rate is that at which it counts predictions that wait for it, while nothing else is at work but the broker.
"""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import numpy as np
import psutil

from bench.common import rate, row, times
from bench.scorer import (
    CUSTOMERS,
    LATENCY_RECORDS,
    NOON,
    PARTITIONS,
    SERVICE,
    WARM_UP,
    cpu_seconds,
    fill,
    latency,
    make_project,
    run_scorer,
    running,
    wait_for,
)
from features.inputs.bins import number_bins
from features.inputs.reference import LENGTHS, SCORE, Histogram, Reference
from features.plan import Plan
from features.times import DAY_MS
from infra.config import monitor_config
from infra.kafka.settings import KafkaSettings
from infra.local import jars
from infra.local.broker import Broker
from infra.local.priority import give_way
from infra.models import references
from infra.monitor_settings import MonitorSettings
from jobs.training.reference import limits
from schemas.topics import ALARMS, DEAD_LETTERS, PRODUCTION
from serving.models.admit import admit
from serving.models.manifest import read_onnx
from serving.models.registry import Registry
from serving.monitor.run import run

BESIDE = (False, True, True, False)
"""Whether a monitor is beside the scorer, round by round: each kind comes as late as the other."""
REFERENCE_ROWS = 20_000
STATE = "monitor"
READY = "monitor.ready"
CATCH_UP_SECONDS = 120
MEGABYTE = 1_000_000


class Round(NamedTuple):
    """One round of the scorer."""

    rate: float
    """Records a second."""
    cpu: float
    """Of the scorer, microseconds a record."""
    p50: float
    p99: float
    """Milliseconds at 200 records a second."""


class Watch(NamedTuple):
    """A monitor at work."""

    process: psutil.Process
    url: str
    """Of its metrics."""

    @property
    def counted(self) -> int:
        """Predictions so far."""
        with urllib.request.urlopen(self.url, timeout=10) as response:  # noqa: S310 - the loopback
            lines = response.read().decode().splitlines()
        own = next(line for line in lines if line.startswith("headrace_monitor_events_total") and 'what="counted"' in line)
        return int(float(own.rsplit(" ", 1)[1]))

    def wait_until(self, counted: int) -> None:
        """Raises `RuntimeError` where it does not get there."""
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while self.counted < counted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the monitor has counted {self.counted:,} of {counted:,} predictions")
            time.sleep(0.05)


def rows(records: int = 100_000) -> list[dict[str, Any]]:
    """The scorer without a monitor and with one, then the monitor alone; ``records`` are those of a round."""
    jars.ensure()
    with TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        folder, kafka = Path(temporary) / "project", broker.bootstrap
        plan = make_project(folder)
        histograms = watch(folder, plan)
        broker.create_topics({plan.features_topic: PARTITIONS, plan.predictions_topic: PARTITIONS})
        broker.create_topics({DEAD_LETTERS.name: 1, ALARMS.name: 1})
        rounds: dict[bool, list[Round]] = {False: [], True: []}
        first = 0
        for beside in BESIDE:
            rounds[beside].append(scored(kafka, plan, folder, first, records, beside=beside))
            first += records + LATENCY_RECORDS
        own = alone(kafka, folder, first)
    without, beside = (_best(rounds[which]) for which in (False, True))
    return [
        row("scorer with a monitor beside it", round(beside.rate), "records/s", baseline=round(without.rate)),
        row("scorer with a monitor / alone", round(beside.rate / without.rate, 2), "ratio", goal=0.95, baseline=1.0),
        row("scorer with a monitor, CPU", round(beside.cpu, 1), "µs/record", better="lower", baseline=round(without.cpu, 1)),
        row("features → predictions at 200/s with a monitor, p50", beside.p50, "ms", better="lower", baseline=without.p50),
        row("features → predictions at 200/s with a monitor, p99", beside.p99, "ms", better="lower", baseline=without.p99),
        *own,
        row("monitor, what it counts of each prediction", histograms, "histograms"),
    ]


def watch(folder: Path, plan: Plan) -> int:
    """Give production a reference to be held against, of noise, which costs what a real one does; gives how many histograms."""
    registry = Registry(folder / "models")
    onnx = read_onnx(registry.get(SERVICE, PRODUCTION))
    reference = noise([*plan.inputs, SCORE])
    manifest = registry.register(admit(onnx, plan, name=SERVICE, created_at=NOON, reference=reference))
    registry.set_alias(SERVICE, PRODUCTION, manifest.version)
    return len(reference.histograms)


def noise(names: list[str]) -> Reference:
    """Bins and limits of random rows of a day."""
    x = np.random.default_rng(1).random((REFERENCE_ROWS, len(names)), np.float32) * 200
    x[:, -1] /= 200  # the score
    bins = [number_bins(name, x[:, place]) for place, name in enumerate(names)]
    cells = np.column_stack([one.cells(x[:, place]) for place, one in enumerate(bins)])
    sizes, customers = [one.size for one in bins], np.arange(REFERENCE_ROWS, dtype=np.int64) % CUSTOMERS
    drawn = limits(cells, sizes, customers, np.zeros(REFERENCE_ROWS, np.int64))
    histograms = tuple(
        Histogram(one, tuple(np.bincount(cells[:, place], minlength=one.size).tolist()), dict.fromkeys(LENGTHS, drawn[place]))
        for place, one in enumerate(bins)
    )
    return Reference(NOON - DAY_MS, NOON, NOON - DAY_MS, NOON, histograms)


def scored(kafka: str, plan: Plan, folder: Path, first: int, records: int, *, beside: bool) -> Round:
    """One round: flat out, then at a steady rate; ``first`` predictions are there before."""
    fill(kafka, plan, first, records)
    with monitoring(kafka, folder) if beside else _nobody() as monitor:
        if monitor:
            monitor.wait_until(first)
        with running(run_scorer, kafka, folder) as scorer:
            began = cpu_seconds(scorer)
            wait_for(kafka, plan.predictions_topic, first + records)
            cpu = (cpu_seconds(scorer) - began) / records * 1e6
            if monitor:
                monitor.wait_until(first + records)
            p50, p99 = latency(kafka, plan, plan.predictions_topic, first + records)
        if monitor:
            monitor.wait_until(first + records + LATENCY_RECORDS)  # it did not fall behind for good
    stamps = times(kafka, plan.predictions_topic)[first : first + records]
    return Round(rate(stamps, WARM_UP), cpu, p50, p99)


def alone(kafka: str, folder: Path, predictions: int) -> list[dict[str, Any]]:
    """A monitor that knows nothing yet counts all ``predictions``."""
    for file in (folder / STATE).iterdir():
        file.unlink()
    with monitoring(kafka, folder) as monitor:
        began, counted, used, empty = time.perf_counter(), monitor.counted, cpu_seconds(monitor.process), _memory(monitor)
        monitor.wait_until(predictions)
        took, counted = time.perf_counter() - began, predictions - counted
        cpu, full = cpu_seconds(monitor.process) - used, _memory(monitor)
    size = sum(file.stat().st_size for file in (folder / STATE).glob("*.json"))
    return [
        row("monitor", round(counted / took), "predictions/s"),
        row("monitor, CPU", round(cpu / counted * 1e6, 1), "µs/prediction", better="lower"),
        row("monitor, memory when it begins", round(empty), "MB", better="lower"),
        row(f"monitor, memory after {predictions:,} predictions", round(full), "MB", better="lower"),
        row("monitor, its state on disk", round(size / 1000, 1), "kB", better="lower"),
    ]


@contextmanager
def monitoring(kafka: str, folder: Path) -> Iterator[Watch]:
    """`headrace monitor`, reading, until the end of the block."""
    with running(run_monitor, kafka, folder, READY) as process:
        while not (told := (folder / READY).read_bytes()):
            time.sleep(0.01)  # it is there, and not written yet
        yield Watch(process, msgspec.json.decode(told)["metrics"])


@contextmanager
def _nobody() -> Iterator[None]:
    yield None


def run_monitor(bootstrap: str, folder: Path, ready: Path) -> None:
    """As `headrace up` starts it."""
    os.setsid()
    give_way()
    config = monitor_config(
        MonitorSettings(metrics_port=0),
        SERVICE,
        client=KafkaSettings().client(bootstrap),
        state=folder / STATE,
        ready_file=ready,
    )
    run(SERVICE, references(Registry(folder / "models")), config)


def _memory(monitor: Watch) -> float:
    return float(monitor.process.memory_info().rss) / MEGABYTE


def _best(rounds: list[Round]) -> Round:
    """The best of each figure."""
    rates, *others = zip(*rounds, strict=True)
    return Round(max(rates), *map(min, others))
