"""Predictions over HTTP by a real load generator: what one core gives flat out, and how soon at a steady rate.

    python -m bench.serve

The service is pinned to one core, wrk and Redis to another. Each request has one row, of a customer drawn out of 5,000: two
features of the online store, three of on-demand functions, 100 trees. With the cache of 10 s, as it is by default, most rows come
from memory; without, each batch reads the store. What a batch run has stored is fetched for as many customers, a key a request.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from rich.console import Console

from bench.common import EXAMPLE, row
from bench.report import table
from bench.scorer import trained_model
from bench.wrk import Load, wrk
from schemas import StoredPrediction
from serving.models.admit import admit
from serving.models.registry import Registry

SERVICE, CUSTOMERS = "fraud", 5000
INPUTS = (
    "transaction_amount__amount",
    "transaction_flags__weekend",
    "transaction_flags__night",
    "customer_profile__mean_amount",
    "customer_profile__transactions_per_day",
)
SERVER, CLIENT = "0", "1"
"""The cores."""
WARM_SECONDS, SECONDS = 2, 7
GOAL, RATE, P99_MS = 1000, 500, 10
SCRIPT = """
wrk.method, wrk.path = "POST", "/v1/predict/fraud"
wrk.headers["Content-Type"] = "application/json"
function request()
  local customer, cents = math.random(0, 4999), math.random(1, 50000)
  return wrk.format(nil, nil, nil, '{"rows":[{"event":{"customer_id":' .. customer .. ',"amount":' .. cents / 100 .. '}}]}')
end
"""

FETCH = """
local keys
function init(args)
  wait = tonumber(args[1]); keys = tonumber(args[2]); math.randomseed(7)
end
function delay() return wait > 0 and math.floor(-wait * math.log(1 - math.random())) or 0 end
function request()
  return wrk.format(nil, "/v1/predictions/fraud" .. string.rep("/" .. math.random(0, 4999), keys))
end
"""
"""A wait is drawn from an exponential distribution: else connections march in step."""


def rows() -> list[dict[str, Any]]:
    """Two lines for each store, with its cache and without, and for each rate."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for store in ("SQLite", "Redis"):
            project = Path(folder) / store
            with store_of(store, project):
                make_project(project)
                found += _fetched(project, store)
                for seconds in (10, 0):
                    found += _of(project, f"{store}, {'cached 10 s' if seconds else 'not cached'}", seconds)
    return found


def _of(project: Path, name: str, cache_seconds: float) -> list[dict[str, Any]]:
    with serving(project, cache_seconds) as (port, process):
        load_of(port, connections=32, wait_ms=0, seconds=WARM_SECONDS)
        before, began = _cpu(process), time.perf_counter()
        flat = load_of(port, connections=32, wait_ms=0, seconds=SECONDS)
        used = (_cpu(process) - before) / (time.perf_counter() - began)
        steady = load_of(port, connections=50, wait_ms=98, seconds=SECONDS)
        memory = process.memory_info().rss / 2**20
    return [
        row(f"{name}, flat out", round(flat.rate), "requests/s", goal=GOAL),
        row(f"{name}, flat out, 32 connections: p50", round(flat.p50, 2), "ms", better="lower"),
        row(f"{name}, flat out, 32 connections: p99", round(flat.p99, 2), "ms", better="lower"),
        row(f"{name}, flat out: of the core", round(used, 2), "cores", better="lower"),
        row(f"{name}, CPU a request", round(used / flat.rate * 1e6), "µs", better="lower"),
        row(f"{name}, steady", round(steady.rate), "requests/s", goal=None),
        row(f"{name}, steady: p50", round(steady.p50, 2), "ms", better="lower"),
        row(f"{name}, steady: p99", round(steady.p99, 2), "ms", goal=P99_MS, better="lower"),
        row(f"{name}, memory", round(memory), "MB", better="lower"),
    ]


def _fetched(project: Path, store: str) -> list[dict[str, Any]]:
    """`GET /v1/predictions/{service}/{key}`."""
    keys = _store_predictions(project)
    with serving(project, 0) as (port, process):
        _fetch(port, keys, connections=32, wait_ms=0, seconds=WARM_SECONDS)
        before, began = _cpu(process), time.perf_counter()
        flat = _fetch(port, keys, connections=32, wait_ms=0, seconds=SECONDS)
        used = (_cpu(process) - before) / (time.perf_counter() - began)
        steady = _fetch(port, keys, connections=50, wait_ms=98, seconds=SECONDS)
    return [
        row(f"{store}, stored, flat out", round(flat.rate), "requests/s"),
        row(f"{store}, stored, flat out, 32 connections: p99", round(flat.p99, 2), "ms", better="lower"),
        row(f"{store}, stored, CPU a request", round(used / flat.rate * 1e6), "µs", better="lower"),
        row(f"{store}, stored, steady", round(steady.rate), "requests/s"),
        row(f"{store}, stored, steady: p50", round(steady.p50, 2), "ms", better="lower"),
        row(f"{store}, stored, steady: p99", round(steady.p99, 2), "ms", better="lower"),
    ]


def _store_predictions(folder: Path) -> int:
    """A prediction of each customer; gives how many columns a key has, all of which have the customer's number."""
    from features.definitions.load import load
    from features.feast.predictions import open_predictions_for_writing

    service, now = load(folder).service(SERVICE), int(time.time() * 1000)
    keys = len(service.plan.entity)
    stored = StoredPrediction(0.5, SERVICE, 1, service.plan.short_digest, now, now, None)
    open_predictions_for_writing(service)(((customer,) * keys, stored) for customer in range(CUSTOMERS))
    return keys


def _fetch(port: int, keys: int, *, connections: int, wait_ms: int, seconds: int) -> Load:
    prefix = ("taskset", "-c", CLIENT)
    load = wrk(FETCH, f"http://127.0.0.1:{port}", connections, seconds, wait_ms, keys, prefix=prefix)
    assert load.failed == load.refused == 0, load
    return load


def make_project(folder: Path) -> None:
    """The model and the customers' rows."""
    from features.definitions.load import load
    from features.feast.online import open_for_writing

    service = load(folder).service(SERVICE)
    numbers = list(range(CUSTOMERS))
    table = {
        "customer_id": numbers,
        "day": [datetime(2026, 1, 1, tzinfo=UTC)] * CUSTOMERS,
        "mean_amount": [customer / 7 for customer in numbers],
        "transactions_per_day": [1.5] * CUSTOMERS,
    }
    open_for_writing(service)(service.plan.batch[0], pa.table(table))
    registry = Registry(folder / "models")
    draft = admit(trained_model(len(INPUTS)), service.plan, name=SERVICE, created_at=0, inputs=INPUTS)
    registry.set_alias(SERVICE, "production", registry.register(draft).version)


@contextmanager
def store_of(kind: str, folder: Path) -> Iterator[None]:
    """A copy of the example over this store."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", "models", ".headrace"))
    (folder / "data" / "feast").mkdir(parents=True)
    if kind == "SQLite":
        yield
        return
    port = _free_port()
    yaml = folder / "feature_store.yaml"
    text = yaml.read_text().replace("type: sqlite", "type: redis")
    yaml.write_text(text.replace("path: data/feast/online.db", f"connection_string: localhost:{port}"))
    command = ["taskset", "-c", CLIENT, "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL) as process:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield
        finally:
            process.terminate()


@contextmanager
def serving(project: Path, cache_seconds: float) -> Iterator[tuple[int, psutil.Process]]:
    """The service, pinned to its core: the port, and the process."""
    port = _free_port()
    command = ["taskset", "-c", SERVER, sys.executable, "-m", "infra.cli", "serve", SERVICE]
    command += ["--project", str(project), "--port", str(port)]
    environment = {**os.environ, "HEADRACE_HTTP__BATCH_CACHE_SECONDS": str(cache_seconds)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _await_ready(port)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()


def _await_ready(port: int) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def load_of(port: int, *, connections: int, wait_ms: int, seconds: int) -> Load:
    """What wrk says; every request must have its prediction."""
    load = wrk(SCRIPT, f"http://127.0.0.1:{port}", connections, seconds, wait_ms, prefix=("taskset", "-c", CLIENT))
    assert load.failed == load.refused == 0, load
    return load


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


if __name__ == "__main__":
    Console().print(table(rows()))
