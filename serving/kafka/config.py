"""What a scorer is started with, and what its Kafka clients are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from schemas.topics import LONGEST_BYTES, Topic

SESSION_MS = 10_000
READER: dict[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "allow_auto_create_topics": False,
    "heartbeat_interval_ms": 1_000,
    "metrics_enabled": False,
}
PRODUCER_METADATA_MS = 5_000
"""How long a producer goes without looking for new partitions."""
SENDER: dict[str, Any] = {
    "enable_idempotence": True,  # a send that kafka-python tries again is not written twice
    "linger_ms": 0,
    # Room for a poll's records, below Kafka's default message.max.bytes: behind a full batch every record wakes the sender.
    "batch_size": 900 * 1024,
    "max_request_size": LONGEST_BYTES,
    "metadata_max_age_ms": PRODUCER_METADATA_MS,
    "metrics_enabled": False,
}


class ScorerConfig(msgspec.Struct, frozen=True):
    """What one scorer works with."""

    client: dict[str, Any]
    """What a kafka-python client is given: where Kafka is, and how it is spoken to."""
    isolation_level: str
    """Kafka's ``isolation.level``, of what is read."""
    longest: Mapping[str, int]
    """The longest record that a topic takes, by its name; one that is not here is as we make it."""
    group: str
    """The consumer group."""
    instance: int
    """Which scorer of the group this is. One that starts as an instance that died takes over its partitions at once."""
    dedupe_window: int
    """Event ids remembered of all partitions together: more than Flink repeats after a restart (checkpoint interval × rate)."""
    batch_cache_seconds: float
    batch_cache_rows: int
    max_poll_records: int
    discovery_ms: int
    """Between two looks for new partitions."""
    session_ms: int
    """How long the partitions of a scorer that does not come back go without one."""
    turns: Path | None
    """The folder that says which events are whose where plans take over (`serving.kafka.turns`); None: all are this scorer's."""
    metrics_port: int | None
    """Of the loopback, where Prometheus reads metrics; 0: a free one; None: there are none."""
    ready_file: Path | None
    """Written as soon as the scorer has its partitions, and knows which events have a prediction: its plan and its model."""

    @property
    def reader(self) -> dict[str, Any]:
        """A consumer's settings, without a group."""
        own = {"isolation_level": self.isolation_level, "metadata_max_age_ms": self.discovery_ms}
        return {**READER, **own, "session_timeout_ms": self.session_ms, **self.client}

    @property
    def member(self) -> dict[str, Any]:
        """The settings of the consumer that is in the group."""
        own = {"group_id": self.group, "group_instance_id": f"{self.group}.{self.instance}"}
        return {**self.reader, **own, "max_poll_records": self.max_poll_records}

    def longest_of(self, topic: Topic) -> int:
        """The longest record on a topic of ours."""
        return min(self.longest.get(topic.name, topic.longest), LONGEST_BYTES)
