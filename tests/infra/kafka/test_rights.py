"""Rights on a broker without ACLs, as the local one is."""

from __future__ import annotations

import pytest

from features.errors import StackError
from infra.kafka import rights
from infra.kafka.rights import Right
from infra.local.broker import Broker


@pytest.mark.stack
def test_without_acls_everyone_may(broker: Broker) -> None:
    """Topics and groups that are there, and those that are not: a broker that does not authorize refuses nothing."""
    broker.create_topics({"rights": 1})
    wanted = [Right("READ", "topic", "rights"), Right("WRITE", "topic", "rights"), Right("READ", "group", "rights")]
    rights.require({"bootstrap_servers": broker.bootstrap}, [*wanted, Right("READ", "topic", "not-there")])


@pytest.mark.slow
def test_a_broker_that_does_not_reply_is_one_line() -> None:
    """And its reason is what the connection ended with, not that time is over."""
    with pytest.raises(StackError, match=r"^Kafka at 127\.0\.0\.1:1 did not reply; KafkaConnectionError: .*ECONNREFUSED; see"):
        rights.require({"bootstrap_servers": "127.0.0.1:1"}, [])
