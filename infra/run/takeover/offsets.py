"""Offsets, as a takeover needs them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from kafka import KafkaAdminClient, TopicPartition

from features.job import JobPlan
from features.sql.flink.options import job_group
from infra.config import GROUP
from infra.local.stack.todo import Call
from infra.run.takeover.begin import state_of
from infra.run.watch import reached
from jobs.stream import beside
from jobs.stream.topics import committed
from schemas.kafka.consumer import KafkaConsumer

LOOK_SECONDS = 0.25
STUCK_SECONDS = 120.0
"""How long who has something to read may read nothing of it, beside the time between two checkpoints: a job says then how far it
has read."""
READ_BACK = 0.8
"""So much of the events that a scorer remembers may be looked at again when the plan before has ended."""

Offsets = dict[int, int]
"""By partition of one topic."""


class Reader:
    """Offsets, looked up over connections that stay open: while scorers stand still, none has to connect."""

    def __init__(self, consumer: Any, admin: Any) -> None:
        self._consumer, self._admin = consumer, admin

    def ends(self, topic: str) -> Offsets:
        """The offset behind the last record of each partition."""
        return {place.partition: end for place, end in self._consumer.end_offsets(self._of(topic)).items()}

    def since(self, topic: str, at_ms: int) -> Offsets:
        """The offset of each partition's first record that Kafka took at a time or later."""
        found = self._consumer.offsets_for_times(dict.fromkeys(self._of(topic), at_ms))
        return {
            p: found[TopicPartition(topic, p)].offset if found[TopicPartition(topic, p)] else end
            for p, end in self.ends(topic).items()
        }

    def has_read(self, group: str, topic: str, ends: Offsets) -> bool:
        """Whether a group has committed that it has read all records before these offsets."""
        wanted = {TopicPartition(topic, partition): end for partition, end in ends.items()}
        return reached(self._admin, self._consumer, group, wanted)

    def left(self, group: str, topic: str, ends: Offsets) -> int:
        """How many offsets before ``ends`` a group has not committed."""
        read = {place.partition: offset for place, offset in committed(self._admin, group).items() if place.topic == topic}
        return sum(max(0, end - read.get(partition, 0)) for partition, end in ends.items())

    def _of(self, topic: str) -> list[TopicPartition]:
        self._consumer.topics()  # has it look anew: what it knows of a topic may be minutes old
        places = [TopicPartition(topic, number) for number in sorted(self._consumer.partitions_for_topic(topic) or ())]
        self._consumer.assign(places)
        return places


@contextmanager
def reading(call: Call, address: str) -> Iterator[Reader]:
    """Within, offsets of the Kafka at ``address`` can be looked up."""
    settings = call.settings.kafka
    client = settings.client(address)
    with (
        closing(KafkaConsumer(**client, enable_auto_commit=False, isolation_level=settings.isolation_level)) as consumer,
        closing(KafkaAdminClient(**client)) as admin,
    ):
        yield Reader(consumer, admin)


def nearest(begins: Offsets, ends: Offsets, most: int) -> Offsets:
    """``begins``, or later where there are more records than ``most`` up to ``ends``: of each partition the same part is left.

    >>> nearest({0: 0, 1: 10}, {0: 80, 1: 30}, most=200), nearest({0: 0, 1: 10}, {0: 80, 1: 30}, most=50)
    ({0: 0, 1: 10}, {0: 40, 1: 20})
    """
    between = sum(end - begins.get(partition, 0) for partition, end in ends.items())
    part = min(1.0, most / between) if between else 1.0
    return {partition: end - int((end - begins.get(partition, 0)) * part) for partition, end in ends.items()}


def group_of(call: Call, job: JobPlan) -> str:
    """The consumer group of a job as it runs."""
    return job_group(GROUP, job, is_beside=beside.recorded(state_of(call, job)) is not None)


def stuck_seconds(call: Call) -> float:
    """How long what a group has read may stay as it is."""
    return STUCK_SECONDS + 2 * call.settings.stream.checkpoint_interval_ms / 1000


def until_read(call: Call, reader: Reader, group: str, topics: Mapping[str, Offsets], name: str) -> int:
    """Wait until a group has read topics up to these offsets, as long as its process runs and gets on; gives what is left."""
    least, since = None, time.monotonic()
    while not all(reader.has_read(group, topic, ends) for topic, ends in topics.items()):
        left = sum(reader.left(group, topic, ends) for topic, ends in topics.items())
        if least is None or left < least:
            least, since = left, time.monotonic()
        if call.processes.running(name) is None or time.monotonic() - since > stuck_seconds(call):
            return left
        time.sleep(LOOK_SECONDS)
    return 0
