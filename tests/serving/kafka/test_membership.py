"""A scorer comes back from every rebalance; on a real broker, with a reply of the group that comes between two polls."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from infra.local.broker import Broker
from serving.kafka import membership as module
from serving.kafka.clients import PollingConsumer
from serving.kafka.config import READER
from serving.kafka.lease import Lease
from serving.kafka.membership import Membership

POLL_MS = 50
pytestmark = pytest.mark.stack


@pytest.fixture
def topic(broker: Broker) -> str:
    """A topic of one partition."""
    name = f"membership-{uuid.uuid4().hex[:8]}"
    broker.create_topics({name: 1})
    return name


@pytest.fixture
def consumer(broker: Broker, topic: str) -> Iterator[KafkaConsumer]:
    """A static member of a group, whose joins take longer than a poll."""
    member = {"group_id": topic, "group_instance_id": f"{topic}.0", "metadata_max_age_ms": 300}
    made = PollingConsumer(bootstrap_servers=broker.bootstrap, **member, **READER)
    coordinator = made._coordinator
    join = coordinator._do_join_and_sync_async

    async def slow_join() -> Any:
        assignment = await join()
        await coordinator._net.sleep(4 * POLL_MS / 1000)
        return assignment

    coordinator._do_join_and_sync_async = slow_join
    with closing(made):
        yield made


def test_a_rebalance_whose_reply_comes_between_two_polls_is_joined_anew(
    broker: Broker, topic: str, consumer: KafkaConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change of partitions the consumer has all of them, though kafka-python loses that rebalance."""
    monkeypatch.setattr(module, "REJOIN_SECONDS", 1.0)
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        membership = Membership(consumer, producer, topic, Lease(10_000))
        assert assigned(consumer, membership, 1) == {TopicPartition(topic, 0)}
        with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
            admin.create_partitions({topic: 2})
        assert assigned(consumer, membership, 2) == {TopicPartition(topic, 0), TopicPartition(topic, 1)}
        producer.send(topic, b"read", partition=1)
        producer.flush()
        assert [record.value for record in polled(consumer, membership)] == [b"read"]


def assigned(consumer: KafkaConsumer, membership: Membership, count: int, seconds: float = 20) -> frozenset[TopicPartition]:
    """The assignment, once it has so many partitions."""
    deadline = time.monotonic() + seconds
    found: frozenset[TopicPartition] = frozenset()
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} partitions after {seconds} s"
        consumer.poll(timeout_ms=POLL_MS)
        membership.keep()
        found = membership.take() or found
    return found


def polled(consumer: KafkaConsumer, membership: Membership, seconds: float = 20) -> list[Any]:
    """What the next poll that returns anything returns."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=POLL_MS).values():
            return list(records)
        membership.keep()
    return []
