"""Window values into Feast's online store: rows a second of ours, which keep the newest, and of Feast's own write beside it.

    python -m bench.online

SQLite in a file, and a Redis of its own, where redis-server is installed. A row is a customer's six features of the
example, with its order and the time that it is valid until; batches are those of a poll.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.common import EXAMPLE, row
from features.feast.online_windows import WindowRow, open_windows_for_writing
from features.service import Service
from infra.local.broker import free_ports
from infra.settings import OnlineSettings
from schemas import FeatureVector, Origin
from schemas.codec import encode

KEYS, BATCH, NOON = 20_000, OnlineSettings().max_poll_records, 1_795_608_000_000
GOAL = 20_000
VIEW = "customer_spend"
START_SECONDS = 20


def rows() -> list[dict[str, Any]]:
    """For each store: rows of new keys, rows over older ones, Feast's own write, and whole feature vectors, all a second."""
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found += _of_store("SQLite", folder / "sqlite", "type: sqlite\n  path: online.db")
        if shutil.which("redis-server") is None:
            return found
        with _redis(folder) as port:
            found += _of_store("Redis", folder / "redis", f'type: redis\n  connection_string: "127.0.0.1:{port}"')
    return found


def _of_store(name: str, folder: Path, store: str) -> Iterator[dict[str, Any]]:
    from jobs.online.vectors import RowsOf
    from jobs.online.writer import Writer

    service = _service(folder, store)
    write = open_windows_for_writing(service)
    first, second = [_window_rows(NOON + 60_000 * n) for n in range(2)]
    yield row(f"{name}: rows of new keys", _rate(lambda some: write(VIEW, some), first), "rows/s", goal=GOAL)
    feast = _rate(_feasts_write(service), _feasts_rows(service))
    over = _rate(lambda some: write(VIEW, some), second)
    yield row(f"{name}: rows over older ones", over, "rows/s", goal=GOAL, baseline=feast)
    writer, stop = Writer(RowsOf(service), write), threading.Event()
    messages = [_message(service, key, NOON + 120_000) for key in range(KEYS)]
    rate = _rate(lambda some: writer.write(some, stop), messages)
    yield row(f"{name}: feature vectors, two rows each, with decoding", rate, "vectors/s")


def _service(folder: Path, store: str) -> Service:
    from features.definitions.load import load

    folder.mkdir()
    shutil.copy(EXAMPLE / "definitions.py", folder)
    (folder / "feature_store.yaml").write_text(
        f"project: bench\nprovider: local\nregistry: registry.db\nonline_store:\n  {store}\nentity_key_serialization_version: 3\n"
    )
    return load(folder).service("handbook")


def _window_rows(at: int) -> list[WindowRow]:
    return [
        WindowRow((key,), at, key, at + 3_600_000, (key % 9, key / 7, key % 31, key / 5, key, key / 3)) for key in range(KEYS)
    ]


def _feasts_rows(service: Service) -> list[Any]:
    """The same rows as Feast's own call takes them, made beforehand."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    at = datetime.fromtimestamp(NOON / 1000 + 30, UTC)
    names = [f.name.removeprefix(f"{VIEW}__") for f in service.plan.window_features if f.view == VIEW]

    def values(one: WindowRow) -> dict[str, Any]:
        return {
            name: Value(int64_val=value) if isinstance(value, int) else Value(double_val=value)
            for name, value in zip(names, one.values, strict=True)
        }

    return [
        (EntityKey(join_keys=["customer_id"], entity_values=[Value(int64_val=one.key[0])]), values(one), at, None)
        for one in _window_rows(NOON)
    ]


def _feasts_write(service: Service) -> Callable[[Sequence[Any]], None]:
    from feast import FeatureStore

    store = FeatureStore(repo_path=str(service.folder))
    view = next(one for one in service.objects if one.name == VIEW)
    return lambda some: store._get_provider().online_write_batch(store.config, view, list(some), None)


def _message(service: Service, key: int, at: int) -> bytes:
    plan = service.plan
    event = {"transaction_id": key, "event_time": at, "customer_id": key, "terminal_id": 2 * key, "amount": 12.5}
    features = {feature.name: key % 7 if "count" in feature.name else key / 7 for feature in plan.window_features}
    valid = dict.fromkeys(plan.views_of_windows, at + 3_600_000)
    return encode(
        FeatureVector(key, at, plan.short_digest, Origin("transactions", 0, key), at, True, event, features, valid),
    )


def _rate(write: Callable[[Sequence[Any]], Any], items: Sequence[Any]) -> int:
    began = time.perf_counter()
    for first in range(0, len(items), BATCH):
        write(items[first : first + BATCH])
    return round(len(items) / (time.perf_counter() - began))


@contextmanager
def _redis(folder: Path) -> Iterator[int]:
    (port,) = free_ports(1)
    command = [
        "redis-server",
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--dir",
        str(folder),
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        import redis

        deadline, client = time.monotonic() + START_SECONDS, redis.Redis(port=port)
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
