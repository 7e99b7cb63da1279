"""When the stream job has read all that its topics hold; on a real broker."""

from __future__ import annotations

from contextlib import closing

import pytest
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition

from features.errors import StackError
from features.service import Service
from infra.local.broker import Broker
from infra.run.watch import caught_up
from tests.support.streams import own_topics
from tests.support.transactions import write

pytestmark = pytest.mark.stack


def test_a_job_has_caught_up_when_it_has_committed_the_last_record(broker: Broker, small: Service) -> None:
    """The mark of a transaction at a topic's end has an offset that no job commits."""
    plan, client = own_topics(broker, small.plan), {"bootstrap_servers": broker.bootstrap}
    topic, group = plan.spine_source.topic, f"group-{plan.service}"
    write(broker.bootstrap, topic, (True, [(0, b"a"), (0, b"b")]), (False, [(0, b"c")]))
    with closing(KafkaConsumer(**client, group_id=group, enable_auto_commit=False)) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(1, "", -1)})
        with pytest.raises(StackError, match="did not read its topics"):
            caught_up(client, plan, group, seconds=1)
        consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(2, "", -1)})
        caught_up(client, plan, group, seconds=30)
