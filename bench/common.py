"""What the benches share: the handbook's data, the row of a result, processes that end with their block."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from kafka import KafkaConsumer, TopicPartition

from features.plan import Plan
from features.times import ALWAYS, Span
from infra.local.broker import Broker
from jobs.ingest.publish import Event, feed, merged, publish

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "fraud"
DATA = EXAMPLE / "data"
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
T = TypeVar("T")


def row(
    name: str, value: float, unit: str, *, goal: float | None = None, better: str = "higher", baseline: float | None = None
) -> dict[str, Any]:
    """One line of the result."""
    return {"name": name, "value": value, "unit": unit, "goal": goal, "better": better, "baseline": baseline}


def peak_memory_mb() -> int:
    """The most memory that this process has had, in MiB. (`getrusage` may tell that of the process that started it.)"""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) // 1024


def timed(run: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and the result."""
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


def program(file: Path) -> ModuleType:
    """A program of an example, which is in no package."""
    spec = importlib.util.spec_from_file_location(f"{file.parent.name}_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def simulation() -> ModuleType:
    """That of the fraud example."""
    return program(EXAMPLE / "simulate.py")


def handbook_data(new_fraud_from: int | None = None) -> Path:
    """The folder with the whole handbook stream, made where it is missing; with a new kind of fraud from a day on in its own."""
    simulate = simulation()
    folder = DATA if new_fraud_from is None else DATA / "new_fraud"
    if not simulate.already_written(folder, simulate.parameters(5000, 10_000, 183, new_fraud_from)):
        simulate.write(simulate.simulate(new_fraud_from=new_fraud_from), folder)
    return folder


def peers_python() -> Path:
    """The Python of what the benches compare with. Raises `RuntimeError` where that environment is not there."""
    if not PEERS_PYTHON.is_file():
        raise RuntimeError(
            f"the peers need an environment of their own; there is no {PEERS_PYTHON}; run 'make .venv-bench/.stamp'"
        )
    return PEERS_PYTHON


@contextmanager
def process(target: Callable[..., None], *arguments: Any) -> Iterator[Any]:
    """``target`` in a process of its own, ended after the block."""
    made = multiprocessing.get_context("spawn").Process(target=target, args=arguments, daemon=True)
    made.start()
    try:
        yield made
    finally:
        made.terminate()
        made.join(20)
        if made.is_alive():
            made.kill()


def publish_history(broker: Broker, folder: Path, plan: Plan) -> None:
    """`history_events`, on their topics."""
    publish(history_events(folder, plan), {"bootstrap_servers": broker.bootstrap})


def history_events(folder: Path, plan: Plan, span: Span = ALWAYS) -> Iterator[Event]:
    """The histories of all sources of ``plan`` below ``folder``, merged in order of event time."""
    return merged([feed(folder / source.history, source.topic, [plan]) for source in plan.sources], span)


def polled(bootstrap: str, topic: str) -> Iterator[list[Any]]:
    """All records that a topic has now, as they are polled: each time some of one partition."""
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, max_poll_records=5000)) as consumer:
        places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < end for place, end in ends.items()):
            yield from consumer.poll(timeout_ms=500).values()


def times(bootstrap: str, topic: str) -> list[int]:
    """The timestamps of all records of a topic, in order."""
    return sorted(record.timestamp for records in polled(bootstrap, topic) for record in records)


def rate(stamps: list[int], skip: float = 0.0) -> float:
    """Records a second from the first to the last, or from the one at ``skip`` of them."""
    first = int(len(stamps) * skip)
    return (len(stamps) - first) / max(stamps[-1] - stamps[first], 1) * 1000
