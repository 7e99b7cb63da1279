"""The client over a real Kafka."""

from __future__ import annotations

import uuid
from contextlib import closing
from decimal import Decimal
from itertools import islice

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaProducer

from bench.common import polled
from infra.local.broker import Broker
from schemas import Prediction, Receipt
from schemas.codec import encode
from schemas.places import offsets_of
from serving.client.kafka import KafkaClient
from tests.support.waits import wait_until

pytestmark = pytest.mark.stack
RECEIPT = Receipt(None, "p", "m", 1, "0", {"a": 1}, {}, True, 1, 2, 3)


def test_events_are_published_once_each(broker: Broker) -> None:
    """As JSON with its numbers as they are, on the partition of their key, in their order."""
    topic = f"orders-{uuid.uuid4().hex}"
    broker.create_topics({topic: 3})
    events = [{"id": n, "account": n % 7, "price": Decimal("1.10")} for n in range(2500)]
    assert KafkaClient(bootstrap_servers=[broker.bootstrap]).publish(topic, events, key="account") == 2500
    found = [record for records in polled(broker.bootstrap, topic) for record in records]
    assert b'{"id":8,"account":1,"price":1.10}' in {record.value for record in found}
    by_partition = {number: [r for r in found if r.partition == number] for number in range(3)}
    ids = {number: [msgspec.json.decode(r.value)["id"] for r in some] for number, some in by_partition.items()}
    assert sorted(one for some in ids.values() for one in some) == list(range(2500))
    assert all(some == sorted(some) for some in ids.values())
    assert all(len({r.partition for r in found if r.key == str(account).encode()}) == 1 for account in range(7))


def test_predictions_are_read_on_from_any_place(broker: Broker) -> None:
    """All of them once, in each partition in order, however often reading is broken off; from the end, what comes later."""
    service = f"shop-{uuid.uuid4().hex}"
    broker.create_topics({f"predictions.{service}": 2})
    client = KafkaClient(bootstrap_servers=[broker.bootstrap])

    def predict(first: int, last: int) -> None:
        with closing(KafkaProducer(bootstrap_servers=[broker.bootstrap])) as producer:
            for n in range(first, last):
                producer.send(f"predictions.{service}", encode(Prediction(n, n, 0.5, RECEIPT)), partition=n % 2)

    predict(0, 100)
    found, place = list[int](), None
    while part := list(islice(client.predictions(service, after=place, start="beginning", until_end=True), 17)):
        found += [int(one.prediction.event_id) for one in part]
        place = part[-1].place
    assert sorted(found) == list(range(100))
    assert [n for n in found if n % 2] == list(range(1, 100, 2))
    assert place is not None
    assert offsets_of(place) == {0: 50, 1: 50}
    assert list(client.predictions(service, until_end=True)) == []
    with closing(KafkaProducer(bootstrap_servers=[broker.bootstrap])) as producer:
        for value in (b"", b"{", b'{"event_id":"\xff"}', b"[" * 5000 + b"]" * 5000):  # no prediction: it is passed over
            producer.send(f"predictions.{service}", value, partition=0)
    predict(100, 102)
    assert {one.prediction.event_id for one in islice(client.predictions(service, after=place), 2)} == {100, 101}


def test_partitions_that_are_added_are_read_too(broker: Broker) -> None:
    """From their beginning, by one who follows: what is predicted there came after it began."""
    service = f"shop-{uuid.uuid4().hex}"
    topic = f"predictions.{service}"
    broker.create_topics({topic: 1})
    follows = KafkaClient(bootstrap_servers=[broker.bootstrap], metadata_max_age_ms=500).predictions(service, start="beginning")
    with closing(KafkaProducer(bootstrap_servers=[broker.bootstrap], metadata_max_age_ms=500)) as producer:
        producer.send(topic, encode(Prediction(0, 0, 0.5, RECEIPT)), partition=0).get()
        assert next(follows).prediction.event_id == 0
        with closing(KafkaAdminClient(bootstrap_servers=[broker.bootstrap])) as admin:
            admin.create_partitions({topic: 3})
        for n in (1, 2):
            wait_until(lambda n=n: n in producer.partitions_for(topic))
            producer.send(topic, encode(Prediction(n, n, 0.5, RECEIPT)), partition=n).get()
        found = list(islice(follows, 2))
    assert {one.prediction.event_id for one in found} == {1, 2}
    assert offsets_of(found[-1].place) == {0: 1, 1: 1, 2: 1}
