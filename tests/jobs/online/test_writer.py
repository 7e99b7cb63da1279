"""From events on a topic to what Feast's client reads: stream job, writers, online store, all of them real."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from features.feast.online import applied_store
from features.feast.online_windows import WindowRow
from features.service import Service
from infra.config import online_config
from infra.local.broker import Broker
from infra.settings import OnlineSettings
from jobs.online.vectors import RowsOf
from jobs.online.writer import Counts, Writer, run
from schemas.codec import encode
from tests.support.flink import Cluster
from tests.support.online_shop import SQLITE, make_shop
from tests.support.streams import own_topics, run_to_end, vectors

MINUTE, HOUR = 60_000, 3_600_000
STORE = SQLITE.format(kind="features.feast.online_stores.FreshSqliteOnlineStore")
WINDOWS = {"account_orders": (HOUR, ("account_id",)), "product_orders": (24 * HOUR, ("shop", "product"))}


@pytest.mark.stack
def test_clients_read_what_the_stream_computed_last(broker: Broker, cluster: Cluster, tmp_path: Path) -> None:
    """Of every account the values of its newest event, while they are valid, whatever is written twice and by whom."""
    service = load(make_shop(tmp_path / "a shop", STORE)).service("shop")
    service = msgspec.structs.replace(service, plan=own_topics(broker, service.plan))
    events = list(_events(int(time.time() * 1000), 600))
    _publish(broker, service, events)
    run_to_end(broker, cluster, service.plan, tmp_path)
    found = sorted(vectors(broker, service.plan), key=lambda vector: (vector.event_time, vector.origin.offset))
    assert len(found) == len(events)
    for vector in found:
        for view, (length, key) in WINDOWS.items():
            assert vector.valid_until[view] == _valid_until(events, vector.event, key, length)
    applied_store(service)  # for the client, which may come before the writers have applied the views
    with _writing(broker, service, "first", 2):
        _expect(service, found)
    with _writing(broker, service, "again", 1):  # all of them a second time
        _expect(service, found)


def _events(now: int, count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(15)
    at = now - 3 * HOUR
    for number in range(count):
        at += chance.randrange(0, 36_000)
        yield {
            "order_id": f"o{number}",
            "at": min(at, now),
            "account_id": chance.randrange(8) if at > now - HOUR else chance.randrange(20),
            "shop": chance.choice("ab"),
            "product": chance.randrange(3),
            "price": chance.randrange(1, 900) / 4,
            "gift": chance.random() < 0.3,
        }


def _publish(broker: Broker, service: Service, events: Iterable[Mapping[str, Any]]) -> None:
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=5)) as producer:
        for event in events:
            producer.send(service.plan.spine_source.topic, value=json.dumps(event).encode(), partition=0)
        producer.flush()


def _valid_until(events: list[dict[str, Any]], event: Mapping[str, Any], key: tuple[str, ...], length: int) -> int:
    """When the oldest order of the event's key leaves the window that ends at it; the event itself is in."""
    inside = [
        e["at"] for e in events if all(e[name] == event[name] for name in key) and event["at"] - length < e["at"] <= event["at"]
    ]
    return min(inside) + length


@contextmanager
def _writing(broker: Broker, service: Service, group: str, count: int) -> Iterator[None]:
    """So many writers of one group, at work."""
    client = {"bootstrap_servers": [broker.bootstrap]}
    config = online_config(OnlineSettings(max_poll_records=50), f"{group}-{service.plan.features_topic}", client=client)
    stop, errors = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            run(service, config, stop)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
        assert errors == []  # before what was read, which they explain


def _expect(service: Service, found: Iterable[Any]) -> None:
    """Wait until the client reads of each account the newest vector's count and mean; None for those that are over."""
    newest = {vector.event["account_id"]: vector for vector in found}

    def expected() -> list[tuple[int | None, float | None]]:
        now = time.time() * 1000
        return [
            (None, None)
            if now >= vector.valid_until["account_orders"]
            else (vector.features["account_orders__count_price"], vector.features["account_orders__mean_price"])
            for vector in newest.values()
        ]

    from feast import FeatureStore

    store = FeatureStore(repo_path=str(service.folder))
    features = ["account_orders:count_price", "account_orders:mean_price"]
    deadline = time.monotonic() + 60
    while True:
        read = store.get_online_features(features=features, entity_rows=[{"account_id": key} for key in newest]).to_dict()
        got = list(zip(read["count_price"], read["mean_price"], strict=True))
        if got == expected() or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    assert got == expected()
    assert 0 < sum(count is None for count, _ in got) < len(got)


@pytest.mark.slow
def test_a_store_that_fails_for_a_while_is_tried_again(tmp_path: Path) -> None:
    """Rows wait until the store takes them; a vector of another plan and a record that is none are counted, and write nothing."""
    service = load(make_shop(tmp_path / "a shop", STORE)).service("shop")
    written: dict[str, list[WindowRow]] = {}
    faults = [OSError("the store restarts")]

    def write(view: str, rows: Iterable[WindowRow]) -> int:
        if faults:
            raise faults.pop()
        written[view] = list(rows)
        return len(written[view])

    event = {"order_id": "o1", "at": 5, "account_id": 7, "shop": "a", "product": 3, "price": 2, "gift": True}
    features = {feature.name: None for feature in service.plan.window_features} | {"account_gifts__count_gift": 2}
    message = {
        "event_id": "o1",
        "event_time": 5,
        "plan": service.plan.short_digest,
        "origin": {"topic": "orders", "partition": 0, "offset": 9},
        "arrived_at": 6,
        "complete": True,
        "event": event,
        "features": features,
        "valid_until": {"account_orders": 15, "product_orders": None, "account_gifts": 25},
    }
    writer = Writer(RowsOf(service), write)
    others = [encode({**message, "plan": "other"}), b"not json", b'{"a": ' + b"[" * 100_000, None]
    writer.write([encode(message), *others], threading.Event())
    assert written["account_gifts"] == [WindowRow((7,), 5, 9, 25, (2,))]
    assert written["product_orders"] == [WindowRow(("a", 3), 5, 9, None, (None, None))]
    assert writer.counts == Counts(vectors=5, written=3, other_plan=1, unreadable=3)
