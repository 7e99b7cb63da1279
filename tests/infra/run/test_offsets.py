"""Offsets as a takeover looks them up, of topics that change meanwhile."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from infra.local.broker import Broker
from infra.run.takeover.offsets import Reader
from schemas.kafka.consumer import KafkaConsumer
from tests.support.headers import NoText

pytestmark = pytest.mark.stack


@pytest.fixture
def topic(broker: Broker) -> str:
    """One with two partitions, which no other test has."""
    name = f"offsets-{uuid.uuid4().hex[:8]}"
    broker.create_topics({name: 2})
    return name


@pytest.fixture
def reader(broker: Broker) -> Iterator[Reader]:
    """Looks at the tests' broker."""
    with (
        closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False)) as consumer,
        closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin,
    ):
        yield Reader(consumer, admin)


def test_partitions_that_were_added_have_their_ends(broker: Broker, reader: Reader, topic: str) -> None:
    """Whatever was looked up before: an offset is chosen for each of them, or events of it would be of both plans."""
    assert reader.ends(topic) == {0: 0, 1: 0}
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.create_partitions({topic: 3})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        producer.send(topic, b"{}", partition=2).get(10)
    assert reader.ends(topic) == {0: 0, 1: 0, 2: 1}


def test_a_record_whose_header_has_no_text_as_its_name_is_one(broker: Broker, reader: Reader, topic: str) -> None:
    """A header whose name is no UTF-8: Flink reads the record and commits it, so it is waited for."""
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        producer.send(topic, b"{}", headers=[(NoText("x"), b"")], partition=0).get(10)
    group = f"group of {topic}"
    assert not reader.has_read(group, topic, {0: 1, 1: 0})
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=group)) as consumer:
        consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(1, "", -1)})
    assert reader.has_read(group, topic, {0: 1, 1: 0})
