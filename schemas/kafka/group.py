"""The consumer of a process that shares a topic with others of its group, and commits what it is done with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.kafka.consumer import KafkaConsumer


def group_consumer(
    client: Mapping[str, Any], group: str, *, isolation_level: str, max_poll_records: int, discovery_ms: int
) -> Any:
    """A consumer of ``group``, without a topic yet. It begins with the oldest record, and commits nothing by itself.

    ``client`` is what a kafka-python client is given: where Kafka is, and how it is spoken to; ``discovery_ms`` is the time
    between two looks for new partitions.
    """
    return KafkaConsumer(
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
        max_poll_records=max_poll_records,
        metadata_max_age_ms=discovery_ms,
        isolation_level=isolation_level,
        metrics_enabled=False,
        **client,
    )
