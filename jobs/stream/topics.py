"""What Kafka holds of a job's sources when it starts: whether it is what the job has read, and from when on all of it is there.

::

    a partition    ○ ○ ○ ○ ○ ○ │ ● ● ● ● ● ● ●
                    deleted    │ can be read        whole from the time of the first ● on
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import structlog
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource
from kafka.errors import KafkaError

from features.errors import StackError
from features.job import JobPlan
from features.plan import Source
from features.times import to_ms
from jobs.stream.config import StreamConfig
from jobs.stream.files import sources_file

SAMPLE = 1000
"""Records at an end of a partition that say what time it is there, and how far out of order."""
POLL_MS = 500

log = structlog.get_logger()


class Sources(msgspec.Struct, frozen=True):
    """What is known of the sources of a job, beside its checkpoints."""

    topic_ids: dict[str, str] = {}
    """Kafka's id of each topic, by its name: another topic of that name has another. Brokers before 2.8 have none."""
    whole_from_ms: dict[str, int] = {}
    """By source: events that the job could not read are of this time or before. Absent: it has read all there were."""


def look(job: JobPlan, config: StreamConfig, state: Path, *, is_restored: bool) -> Sources:
    """What Kafka holds of the sources now, and what was known before where the job goes on from a checkpoint; kept in ``state``.

    Raises `StackError` where a topic was deleted and made again since: the checkpoint's offsets are of other records.
    """
    before = _known(state) if is_restored else Sources()
    try:
        with (
            closing(KafkaAdminClient(**config.kafka)) as admin,
            closing(KafkaConsumer(**config.kafka, enable_auto_commit=False)) as consumer,
        ):
            now = _topic_ids(admin, job)
            _refuse_others(before.topic_ids, now, state)
            read = _committed(admin, f"{config.sql.group}.{job.name}") if is_restored else None
            compacted = _compacted(admin, job)
            found = {s.name: _whole_from(consumer, s, job, config, read, s.topic in compacted) for s in job.sources}
    except KafkaError as error:
        raise StackError(
            f"Kafka at {config.sql.bootstrap} did not say what the job's topics hold: {error!r}; fix that"
        ) from error
    whole_from = {name: at for name, at in found.items() if at is not None}
    for name, at in before.whole_from_ms.items():
        whole_from[name] = max(at, whole_from.get(name, at))
    sources = Sources(before.topic_ids | now, whole_from)
    _keep(sources, state)
    return sources


def _known(state: Path) -> Sources:
    file = sources_file(state)
    return msgspec.json.decode(file.read_bytes(), type=Sources) if file.is_file() else Sources()


def _keep(sources: Sources, state: Path) -> None:
    file = sources_file(state)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(msgspec.json.encode(sources))
    unfinished.replace(file)


def _topic_ids(admin: Any, job: JobPlan) -> dict[str, str]:
    described = admin.describe_topics(sorted({source.topic for source in job.sources}))
    return {topic["name"]: str(topic["topic_id"]) for topic in described if topic["topic_id"]}


def _refuse_others(before: Mapping[str, str], now: Mapping[str, str], state: Path) -> None:
    for topic, known in before.items():
        if now.get(topic, known) != known:
            raise StackError(
                f"a job goes on in the topics that it has read; '{topic}' was deleted and made again since its checkpoint, whose "
                f"offsets are of other records (topic id {known} then, {now[topic]} now); "
                f"to start anew from what the topics hold now, delete {state}"
            )


def _committed(admin: Any, group: str) -> dict[TopicPartition, int]:
    """Where a job that goes on will read from: its group's offsets are those of its newest checkpoint, or of one before."""
    return {place: found.offset for place, found in admin.list_group_offsets([group])[group].items()}


def _compacted(admin: Any, job: JobPlan) -> set[str]:
    """The topics of which Kafka deletes records in the midst of a partition."""
    topics = sorted({source.topic for source in job.sources})
    configs = admin.describe_configs([ConfigResource("TOPIC", topic) for topic in topics], config_filter="all").get("topic", {})
    policies = {topic: configs.get(topic, {}).get("cleanup.policy", {}).get("value") for topic in topics}
    for topic in (topic for topic, policy in policies.items() if policy is None):
        log.warning("stream.unknown_policy", topic=topic, note="not allowed to ask whether the topic is compacted; taken as not")
    return {topic for topic, policy in policies.items() if "compact" in (policy or "")}


def _whole_from(
    consumer: Any,
    source: Source,
    job: JobPlan,
    config: StreamConfig,
    read: Mapping[TopicPartition, int] | None,
    is_compacted: bool,
) -> int | None:
    """The time that an event of ``source`` may have at most if it was deleted before the job could read it; None: none was.

    ``read`` is where the job goes on, by partition; None: it begins.
    """
    places = [TopicPartition(source.topic, number) for number in sorted(consumer.partitions_for_topic(source.topic) or ())]
    begins, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
    bounds = []
    for place, begin in begins.items():
        reads_from = 0 if read is None else read.get(place, 0)
        if is_compacted and ends[place] > reads_from:
            bounds.append(_newest(consumer, source, config, place, max(begin, ends[place] - SAMPLE), ends[place]))
        elif begin > reads_from:
            bounds.append(_first(consumer, source, job, config, place, begin, min(begin + SAMPLE, ends[place])))
    if not bounds:
        return None
    log.warning("stream.incomplete", source=source.name, whole_from_ms=max(bounds), note="older records were deleted unread")
    return max(bounds)


def _first(consumer: Any, source: Source, job: JobPlan, config: StreamConfig, place: TopicPartition, begin: int, end: int) -> int:
    """The time of the first record that is left, and as much as the records behind it are out of order."""
    times = list(_times(consumer, source, config, place, begin, end))
    if not times:
        return _latest(config)
    disorder = max(newest - at for newest, at in zip(accumulate(times, max), times, strict=True))
    return times[0] + min(disorder, job.lateness_ms)


def _newest(consumer: Any, source: Source, config: StreamConfig, place: TopicPartition, begin: int, end: int) -> int:
    return max(_times(consumer, source, config, place, begin, end), default=_latest(config))


def _latest(config: StreamConfig) -> int:
    """No good event was of a later time than this (rule 8)."""
    return int(time.time() * 1000) + config.sql.max_ahead_ms


def _times(consumer: Any, source: Source, config: StreamConfig, place: TopicPartition, begin: int, end: int) -> Iterator[int]:
    """The event times of the good events in [begin, end) of a partition, in their order."""
    latest = _latest(config)
    for value in _values(consumer, place, begin, end):
        at = event_time(value, source.time)
        if at is not None and 0 <= at <= latest:
            yield at


def _values(consumer: Any, place: TopicPartition, begin: int, end: int) -> Iterable[bytes | None]:
    consumer.assign([place])
    consumer.seek(place, begin)
    while consumer.position(place) < end:
        for record in consumer.poll(timeout_ms=POLL_MS).get(place, ()):
            if record.offset < end:
                yield record.value


def event_time(value: bytes | None, column: str) -> int | None:
    """The time of an event as it was published, UTC milliseconds; None where it has none that can be read.

    >>> event_time(b'{"at": 1000}', "at"), event_time(b'{"at": "1970-01-01T00:00:01Z"}', "at"), event_time(b"x", "at")
    (1000, 1000, None)
    """
    try:
        event = msgspec.json.decode(value or b"")
        at = event[column]
        moment = datetime.fromisoformat(at) if isinstance(at, str) else None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, LookupError, TypeError):
        return None
    if moment is not None:
        return to_ms(moment) if moment.tzinfo else None
    return at if type(at) is int else None
