"""A producer whose records are in transactions, some of which are aborted."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import closing

from kafka import KafkaProducer


def write(bootstrap: str, topic: str, *transactions: tuple[bool, Iterable[tuple[int, bytes]]]) -> None:
    """Write (partition, value) pairs in transactions, each committed or aborted: a mark in every partition tells which."""
    with closing(KafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"test-{uuid.uuid4().hex}")) as producer:
        producer.init_transactions()
        for is_committed, records in transactions:
            producer.begin_transaction()
            for partition, value in records:
                producer.send(topic, value=value, key=b"1", partition=partition)
            producer.flush()
            if is_committed:
                producer.commit_transaction()
            else:
                producer.abort_transaction()
