"""A whole local stack: two services in one Flink job on a Kafka of its own, killed all at once, in a folder that is renamed."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from infra.local import stack
from schemas import Prediction
from schemas.codec import decode_prediction
from tests.infra.local.conftest import Light, kill

pytestmark = pytest.mark.stack

BOTH = ("cards", "terminals")
MANY = 2000
"""So many rows of one key are more than Flink keeps within the checkpoint's own file."""


@pytest.mark.timeout(600)  # two starts of Flink
def test_two_services_predict_and_come_back_from_a_kill_in_a_renamed_folder(bare: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services of one spine share a job. After kill -9 of everything, Kafka's port being taken by then, each event has one
    prediction, and windows go on."""
    monkeypatch.setenv("HEADRACE_STREAM__CHECKPOINT_INTERVAL_MS", "1000")
    monkeypatch.setenv("HEADRACE_KAFKA__PARTITIONS", "1")
    stack.up(bare.folder, bare.settings)
    assert bare.served() == {"kafka": (), "stream-cards": BOTH, "scorer-cards": ("cards",), "scorer-terminals": ("terminals",)}
    assert [one.version for one in bare.rows()["scorer-cards"].environments] == [1]
    publish(bare, *range(MANY))
    assert [len(predictions(bare, service, MANY)) for service in BOTH] == [MANY, MANY]
    time.sleep(2.5)  # a checkpoint holds them all
    kill([pid for pid in bare.pids().values() if pid])
    assert {row.state for row in bare.rows().values()} == {"died"}
    address = stack.bootstrap(bare.folder, bare.settings)
    renamed = Light(bare.folder.rename(bare.folder.parent / "renamed"))
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        stack.up(renamed.folder, renamed.settings)
    assert stack.bootstrap(renamed.folder, renamed.settings) == renamed.rows()["kafka"].address != address
    assert set(renamed.served()) == {"kafka", "stream-cards", "scorer-cards", "scorer-terminals"}
    publish(renamed, MANY)
    found = predictions(renamed, "cards", MANY + 1)
    assert found[MANY].receipt.inputs["customer_spend__count_1d"] == MANY + 1, "the windows are from before"
    assert len(predictions(renamed, "terminals", MANY + 1)) == MANY + 1
    log = (renamed.run / "logs" / "stream-cards.log").read_text()
    assert f"restored={renamed.run / 'checkpoints'}" in log.replace("'", "")


def publish(light: Light, *numbers: int) -> None:
    """Transactions of one customer."""
    now = int(time.time() * 1000)
    with closing(KafkaProducer(bootstrap_servers=stack.bootstrap(light.folder, light.settings))) as producer:
        for number in numbers:
            event = {"transaction_id": number, "event_time": now + number, "customer_id": 1, "terminal_id": 2, "amount": 3}
            producer.send("stack-transactions", json.dumps(event).encode(), b"1")
        producer.flush()


def predictions(light: Light, service: str, count: int) -> Mapping[int | str, Prediction]:
    """By event id, once there are ``count`` or a minute has passed; each event has one."""
    found: list[Prediction] = []
    with closing(KafkaConsumer(bootstrap_servers=stack.bootstrap(light.folder, light.settings))) as consumer:
        place = TopicPartition(f"predictions.{service}", 0)
        consumer.assign([place])
        consumer.seek_to_beginning()
        deadline = time.monotonic() + 60
        while len(found) < count and time.monotonic() < deadline:
            found += [decode_prediction(record.value) for record in consumer.poll(timeout_ms=200).get(place, ())]
    assert set(Counter(one.event_id for one in found).values()) == {1}
    return {one.event_id: one for one in found}
