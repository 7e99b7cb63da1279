"""What the watch of a run counts."""

from __future__ import annotations

import time
import uuid
from contextlib import closing

import pytest
from kafka import KafkaProducer

from features.plan import Column, ColumnType, Plan, Source
from infra.local.broker import Broker
from infra.run.watch import Watch
from schemas import DeadLetter, Origin
from schemas.codec import encode
from schemas.topics import DEAD_LETTERS, LATE_ROWS

pytestmark = pytest.mark.stack


def test_a_dead_letter_counts_once_and_where_it_is_of_the_spine(broker: Broker) -> None:
    """A repeat has the key of the first; one of another source stands for no event that wants a prediction."""
    topic = f"events-{uuid.uuid4().hex[:8]}"
    columns = (Column("id", ColumnType("int64")), Column("at", ColumnType("timestamp")))
    plan = Plan(topic, "s", (Source("s", topic, columns, "at", "id", "h", 0),), (), (), (), (), "arrival", 0)
    broker.create_topics({topic: 2, plan.features_topic: 2, plan.predictions_topic: 2, LATE_ROWS.name: 1})
    broker.create_topics({DEAD_LETTERS.name: 1}, DEAD_LETTERS.config)
    keys = (f"{topic}-0-1", f"{plan.features_topic}-1-7", f"{topic}-0-1", f"{topic}-0-2", "labels-0-1", f"{topic}-0-1")
    with closing(Watch({"bootstrap_servers": [broker.bootstrap]}, plan)) as watch:
        assert watch.seen().dead_letters == 0
        with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
            for key in keys:
                name, partition, offset = key.rsplit("-", 2)
                letter = DeadLetter("empty", "no value", Origin(name, int(partition), int(offset)), 1, None)
                producer.send(DEAD_LETTERS.name, encode(letter), key.encode())
        deadline = time.monotonic() + 10
        while watch.seen().dead_letters < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert watch.seen().dead_letters == 3
