"""Where readers of topics are: from which offsets they go on, also in partitions that were added since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kafka import TopicPartition

Offsets = dict[TopicPartition, int]
GROW_SECONDS = 10.0
"""How often it is looked whether partitions were added."""


def partitions(consumer: Any, topics: Iterable[str]) -> list[TopicPartition]:
    """Of all the topics that are there."""
    return [TopicPartition(one, number) for one in topics for number in sorted(consumer.partitions_for_topic(one) or ())]


def ends(consumer: Any, places: Iterable[TopicPartition]) -> Offsets:
    """The offset that each partition's next record has."""
    return dict(consumer.end_offsets(list(places)))


def beginnings(consumer: Any, places: Iterable[TopicPartition]) -> Offsets:
    """The offset of each partition's oldest record."""
    return dict(consumer.beginning_offsets(list(places)))


def go_on(consumer: Any, offsets: Mapping[TopicPartition, int]) -> None:
    """Read from these offsets."""
    consumer.assign(list(offsets))
    for place, offset in offsets.items():
        consumer.seek(place, offset)


def grow(consumer: Any, topics: Iterable[str], offsets: Offsets) -> None:
    """Read the partitions too that were added since: from their beginning, all of it is new. ``offsets`` gets them."""
    added = [place for place in partitions(consumer, topics) if place not in offsets]
    if added:
        offsets |= beginnings(consumer, added)
        go_on(consumer, offsets)
