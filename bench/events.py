"""Events over HTTP, answered with their predictions, on the whole local stack: how soon at a steady rate, and what overload does.

    python -m bench events

Kafka, Flink, the scorer, the HTTP service and wrk share the machine's cores. Each request has one event, with an id of its own,
of a customer drawn out of 5,000, and waits for its prediction. Overload are sixteen times as many connections as flat out, none
of which waits between two requests: twice as many as `http.max_concurrency` lets in.
"""

from __future__ import annotations

import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from bench.common import row
from bench.cpu import compiler_seconds, cores, jvm_of
from bench.report import table
from bench.scorer import make_project
from bench.wrk import Load, wrk
from infra.local import stack
from infra.local.processes import Processes
from infra.local.stack.record import HTTP, KAFKA, scorer_name, stream_name
from infra.settings import load_settings, run_folder

RATE, SECONDS = 200, 10
WARM_SECONDS, LOOK_SECONDS, CALM = 30, 5, 0.15
P50_MS, P99_MS = 8, 30
STEADY, FLAT_OUT, OVERLOAD = 20, 32, 512
"""Connections."""
DEADLINE_MS = 1000
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  made = made + 1
  local customer, place, cents = math.random(0, 4999), math.random(0, 9999), math.random(1, 50000)
  return wrk.format(nil, "/v1/events/transactions?wait=1s", nil, string.format(
    '{"transaction_id":%d%07d,"event_time":%d000,"customer_id":%d,"terminal_id":%d,"amount":%.2f}',
    first, made, os.time(), customer, place, cents / 100))
end
"""


class Service(NamedTuple):
    """The stack, as it is measured."""

    address: str
    processes: dict[str, tuple[int, ...]]
    jvms: tuple[int, ...]

    @property
    def memory_mb(self) -> float:
        """Of the HTTP service."""
        return float(psutil.Process(self.processes["HTTP service"][0]).memory_info().rss / 2**20)

    def counts(self) -> Counts:
        """What the service has counted so far."""
        with urllib.request.urlopen(f"{self.address}/metrics") as response:  # noqa: S310 - http to the stack's own address
            families = text_string_to_metric_families(response.read().decode())
        samples = [sample for family in families for sample in family.samples]
        statuses = {one.labels["status"]: one.value for one in samples if one.name == "headrace_events_total"}
        edges = {float(one.labels["le"]): one.value for one in samples if one.name == "headrace_event_seconds_bucket"}
        return Counts(statuses, edges)


class Counts(NamedTuple):
    """Events by status, and requests that were let in by how many seconds they took at most."""

    statuses: dict[str, float]
    edges: dict[float, float]

    def since(self, before: Counts) -> Counts:
        """Without those."""
        return Counts(
            *({name: value - old.get(name, 0) for name, value in new.items()} for new, old in zip(self, before, strict=True))
        )

    @property
    def p99_ms(self) -> float:
        """The upper edge of the part in which the 99th percentile is."""
        wanted = 0.99 * max(self.edges.values())
        return 1000 * min(edge for edge, value in self.edges.items() if value >= wanted)


def rows() -> list[dict[str, Any]]:
    """A steady rate, flat out, and overload."""
    with _running() as service:
        _warm_up(service)
        steady, counts, used = _measured(service, STEADY, round(1000 * STEADY / RATE) - 9)  # and about 9 for the prediction
        flat, _, _ = _measured(service, FLAT_OUT, 0)
        before = service.memory_mb
        over, let_in, _ = _measured(service, OVERLOAD, 0)
        grown = service.memory_mb - before
    assert steady.failed == steady.refused == 0, (steady, counts)
    predicted = counts.statuses["200"] / sum(counts.statuses.values())
    return [
        row("steady", round(steady.rate), "requests/s"),
        row("steady: event → prediction, p50", round(steady.p50, 1), "ms", goal=P50_MS, better="lower"),
        row("steady: event → prediction, p99", round(steady.p99, 1), "ms", goal=P99_MS, better="lower"),
        row("steady: with their prediction within 1 s", round(100 * predicted, 2), "%"),
        *(row(f"steady: {name}", round(part, 2), "cores", better="lower") for name, part in used.items()),
        row(f"flat out, {FLAT_OUT} connections", round(flat.rate), "requests/s"),
        row(f"flat out, {FLAT_OUT} connections: p99", round(flat.p99, 1), "ms", better="lower"),
        row("flat out: refused, or without a response", flat.refused + flat.failed, "requests", better="lower"),
        row(f"overload, {OVERLOAD} connections: responses", round(over.rate), "1/s"),
        row("overload: without a response", over.failed, "requests", better="lower"),
        row("overload: let in", round(sum(let_in.statuses.values()) / SECONDS), "requests/s"),
        row("overload: p99 of those, at most", round(let_in.p99_ms), "ms", goal=DEADLINE_MS, better="lower"),
        row("overload: memory of the HTTP service more than before", round(grown, 1), "MB", better="lower"),
    ]


@contextmanager
def _running() -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        plan = make_project(folder)
        settings = load_settings(folder, services=[plan.service], http={"port": 0, "deadline_ms": DEADLINE_MS})
        try:
            stack.up(folder, settings)
            address, known = stack.http_address(folder, settings), Processes(run_folder(folder, settings))
            names = (HTTP, scorer_name(plan.service), stream_name((plan.service,)), KAFKA)
            pids = [process.pid for name in names if (process := known.running(name))]
            http, scorer, stream, broker = pids
            jvm = jvm_of(stream)
            processes = {"HTTP service": (http,), "scorer": (scorer,), "broker": (broker,), "Flink's JVM": (jvm,)}
            yield Service(str(address), processes, (jvm, broker))
        finally:
            stack.down(folder, settings)


def _warm_up(service: Service) -> None:
    """Send until the JVMs' compilers are calm."""
    began = time.monotonic()
    while time.monotonic() - began < WARM_SECONDS:
        before = sum(map(compiler_seconds, service.jvms))
        _load(service, STEADY, 10, LOOK_SECONDS)
        if sum(map(compiler_seconds, service.jvms)) - before < CALM * LOOK_SECONDS:
            break


def _measured(service: Service, connections: int, wait_ms: int) -> tuple[Load, Counts, dict[str, float]]:
    """What wrk says, what the service has counted, and the cores by process."""
    before = service.counts()
    with cores(service.processes) as used:
        load = _load(service, connections, wait_ms, SECONDS)
    return load, service.counts().since(before), used


def _load(service: Service, connections: int, wait_ms: int, seconds: int) -> Load:
    return wrk(SCRIPT, service.address, connections, seconds, wait_ms, int(time.time()))


if __name__ == "__main__":
    Console().print(table(rows()))
