"""Offsets, as a takeover needs them. ``client`` is always what a kafka-python client is given."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from infra.run.watch import reached

Offsets = dict[int, int]
"""By partition of one topic."""


class Reader:
    """Asks for offsets, over connections that stay open: what is asked for while scorers stand still takes no time to connect."""

    def __init__(self, client: Mapping[str, Any], isolation_level: str) -> None:
        self._consumer = KafkaConsumer(**client, enable_auto_commit=False, isolation_level=isolation_level)
        self._admin = KafkaAdminClient(**client)

    def close(self) -> None:
        """End the connections."""
        for one in (self._consumer, self._admin):
            with closing(one):
                pass

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
        committed = self._admin.list_group_offsets([group])[group]
        read = {place.partition: found.offset for place, found in committed.items() if place.topic == topic}
        return sum(max(0, end - read.get(partition, 0)) for partition, end in ends.items())

    def _of(self, topic: str) -> list[TopicPartition]:
        places = [TopicPartition(topic, number) for number in sorted(self._consumer.partitions_for_topic(topic) or ())]
        self._consumer.assign(places)
        return places
