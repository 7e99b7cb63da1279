"""Whether the windows of a service began empty, and with which events: what an audit has to know of a job without a backfill."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from kafka import TopicPartition

from features.disk import kept
from features.plan import Plan, Source
from features.times import EventTimes
from jobs.stream.backfill import recorded
from jobs.stream.topics import SAMPLE, Partitions, Sources
from schemas.kafka.consumer import KafkaConsumer


def began_empty(checkpoints: Path, plan: Plan) -> bool:
    """Whether jobs over the plan's topics are known below ``checkpoints``, and none of them was backfilled."""
    topics = {source.topic for source in plan.sources}
    files = {file.parent: kept(file, Sources) for file in checkpoints.glob("*/*/*/sources.json")}
    states = [state for state, known in files.items() if known and topics <= known.begins.keys()]
    return bool(states) and not any(map(recorded, states))


def first_events(client: Mapping[str, Any], plan: Plan, event_times: EventTimes) -> dict[str, int]:
    """By source, the time before which no row was on its topic, nor on the spine's; none where Kafka has deleted the first ones.

    The oldest of the first thousand events of each partition is taken; a topic without one begins with the spine. ``client`` is
    what a kafka-python consumer is given.
    """
    with closing(KafkaConsumer(**client, enable_auto_commit=False)) as consumer:
        partitions = Partitions(consumer, event_times)
        found = {source.name: _first_times(partitions, source) for source in plan.sources}
    spine = found[plan.spine]
    if not spine:
        return {}
    return {name: min((*times, *spine)) for name, times in found.items() if times is not None}


def _first_times(partitions: Partitions, source: Source) -> list[int] | None:
    """The times of the first events of each partition; None where some were deleted."""
    begins, ends = partitions.begins(source.topic), partitions.ends(source.topic)
    if not begins or any(begins.values()):
        return None
    times: list[int] = []
    for number, end in ends.items():
        times += partitions.times(source, TopicPartition(source.topic, number), 0, min(SAMPLE, end))
    return times
