"""A dead letter is written once, under its origin: neither a restart nor a new plan repeats it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaProducer

from features.service import Service
from infra.local.broker import Broker
from schemas.codec import decode_dead_letter
from schemas.topics import DEAD_LETTERS
from tests.support.flink import Cluster
from tests.support.streams import dead_letters, own_topics, records, run_to_end

pytestmark = pytest.mark.stack

T = 1_714_550_400_000


def test_a_new_plan_repeats_no_dead_letter(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """It reads its topics from the start, and writes only what was no dead letter before: here an event without a key."""
    whole = own_topics(broker, small.plan)
    customers = msgspec.structs.replace(whole, sources=whole.sources[:1], windows=whole.windows[:1])
    topic = whole.spine_source.topic
    event = {"transaction_id": 1, "event_time": T, "customer_id": 1, "amount": 1.5}
    send(broker, topic, [b"not json", json.dumps(event).encode(), None, b"[]"])
    run_to_end(broker, cluster, customers, tmp_path)
    before = dead_letters(broker, whole)
    assert [(letter.origin.offset, letter.reason) for letter in before] == [(0, "not_json"), (2, "empty"), (3, "not_json")]
    run_to_end(broker, cluster, customers, tmp_path / "restarted without a checkpoint")
    assert dead_letters(broker, whole) == before
    send(broker, topic, [b"{"])
    run_to_end(broker, cluster, whole, tmp_path)
    new = dead_letters(broker, whole)[len(before) :]
    assert [(letter.origin.offset, letter.reason) for letter in new] == [(1, "missing_key"), (4, "not_json")]
    keys = [r.key.decode() for r in records(broker, DEAD_LETTERS.name) if decode_dead_letter(r.value).origin.topic == topic]
    assert keys == [f"{topic}-0-{offset}" for offset in (0, 2, 3, 1, 4)]


def send(broker: Broker, topic: str, values: list[bytes | None]) -> None:
    """Write to the topic's first partition."""
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for value in values:
            producer.send(topic, value=value, key=b"key", partition=0)
