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
from uuid import UUID

import msgspec
import structlog
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource
from kafka.errors import KafkaError

from features.disk import keep, kept
from features.errors import StackError
from features.outcomes import AnyJob
from features.plan import Source
from features.seam import Seam
from features.times import EventTimes, to_ms
from jobs.stream.config import StreamConfig
from jobs.stream.files import sources_file
from schemas.codec import UNREADABLE
from schemas.kafka.consumer import KafkaConsumer

SAMPLE = 1000
"""Records at an end of a partition that say what time it is there, and how far out of order."""
POLL_MS = 500
COORDINATOR_SECONDS = 30
NO_ID = (str(None), str(UUID(int=0)))

log = structlog.get_logger()


class Sources(msgspec.Struct, frozen=True):
    """What is known of the sources of a job, beside its checkpoints."""

    topic_ids: dict[str, str] = {}
    """Kafka's id of each topic, by its name: another topic of that name has another. Brokers before 2.8 have none."""
    begins: dict[str, dict[int, int]] = {}
    """The offset that each partition of a topic began with when the job last started."""
    whole_after_ms: dict[str, int] = {}
    """By source: events that the job could not read are of this time or before. Absent: it has read all there were."""
    groups: tuple[str, ...] = ()
    """The consumer groups that it has had: a job that takes over once more has another than at first."""
    newest_ms: dict[str, int] = {}
    """By source, in event-time mode: the time of the newest event before those that the job goes on with."""


def look(job: AnyJob, config: StreamConfig, state: Path, *, is_restored: bool, seam: Seam | None = None) -> Sources:
    """What Kafka holds of the sources now, and what was known before where the job goes on from a checkpoint; kept in ``state``.

    What was deleted from before the ``seam`` of a backfilled job is in its history.

    Raises `StackError` where a topic was deleted and made again since: the checkpoint's offsets are of other records.
    """
    known = kept(sources_file(state), Sources) if is_restored else None
    before = known or Sources()
    reading: dict[str, Any] = {"enable_auto_commit": False, "isolation_level": config.sql.isolation_level}
    try:
        with (
            closing(KafkaAdminClient(**config.kafka)) as admin,
            closing(KafkaConsumer(**config.kafka, **reading)) as consumer,
        ):
            ids = _topic_ids(admin, job)
            _refuse_others(before.topic_ids, ids, state)
            groups = tuple(dict.fromkeys((*before.groups, config.sql.group_of(job))))
            read = _read(admin, groups, before) if is_restored else {}
            compacted = _compacted(admin, job)
            partitions = Partitions(consumer, EventTimes(config.sql.max_ahead_ms, config.sql.max_age_days))
            begins = {source.topic: partitions.begins(source.topic) for source in job.sources}
            whole = {s.name: _whole_from(partitions, s, read, job.lateness_ms, s.topic in compacted) for s in job.sources}
            newest = {s.name: _newest_read(partitions, s, read) for s in job.sources} if job.mode == "event_time" else {}
    except KafkaError as error:
        raise StackError(
            f"a stream job looks up at Kafka on {config.sql.bootstrap} what its topics hold; it failed: {error!r}; fix that"
        ) from error
    if seam:
        whole = {
            name: None if name in seam.from_ms and at is not None and at < seam.until_ms else at for name, at in whole.items()
        }
    for name, at in before.whole_after_ms.items():
        whole[name] = max(at, whole.get(name) or at)
    bounds = _times_of(whole)
    if config.whole_from_ms is not None:
        bounds = dict.fromkeys(bounds, config.whole_from_ms - 1)
    sources = Sources(before.topic_ids | ids, begins, bounds, groups, _times_of(newest))
    for name, at in sources.whole_after_ms.items():
        log.warning("stream.incomplete", source=name, whole_after_ms=at, note="older records were deleted before they were read")
    keep(sources_file(state), sources)
    return sources


def _times_of(sources: Mapping[str, int | None]) -> dict[str, int]:
    return {name: at for name, at in sources.items() if at is not None}


def _topic_ids(admin: Any, job: AnyJob) -> dict[str, str]:
    described = admin.describe_topics(sorted({source.topic for source in job.sources}))
    ids = {topic["name"]: str(topic["topic_id"]) for topic in described if not topic["error_code"]}
    return {topic: found for topic, found in ids.items() if found not in NO_ID}


def _refuse_others(before: Mapping[str, str], now: Mapping[str, str], state: Path) -> None:
    for topic, known in before.items():
        if now.get(topic, known) != known:
            raise StackError(
                f"a job goes on in the topics that it has read; '{topic}' was deleted and made again since its checkpoint, whose "
                f"offsets are of other records (topic id {known} then, {now[topic]} now); "
                f"to start anew from what the topics hold now, delete {state}"
            )


def _read(admin: Any, groups: Iterable[str], before: Sources) -> dict[TopicPartition, int]:
    """How far a job that goes on has read: its groups' offsets are those of its newest checkpoint, or of one before.

    It commits none for a partition in which there was nothing: it has read that as far as to where it began.
    """
    read = {TopicPartition(topic, n): begin for topic, begins in before.begins.items() for n, begin in begins.items()}
    for group in groups:
        for place, offset in committed(admin, group).items():
            read[place] = max(offset, read.get(place, 0))
    return read


def committed(admin: Any, group: str) -> dict[TopicPartition, int]:
    """The offsets of a group; a cluster to whose groups nobody has spoken yet makes their topic first."""
    deadline = time.monotonic() + COORDINATOR_SECONDS
    while True:
        try:
            return {place: found.offset for place, found in admin.list_group_offsets([group])[group].items()}
        except KafkaError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
            time.sleep(POLL_MS / 1000)


def _compacted(admin: Any, job: AnyJob) -> set[str]:
    """The topics of which Kafka deletes records in the midst of a partition."""
    topics = sorted({source.topic for source in job.sources})
    configs = admin.describe_configs([ConfigResource("TOPIC", topic) for topic in topics], config_filter="all").get("topic", {})
    policies = {topic: configs.get(topic, {}).get("cleanup.policy", {}).get("value") for topic in topics}
    for topic in (topic for topic, policy in policies.items() if policy is None):
        log.warning("stream.unknown_policy", topic=topic, note="not allowed to ask whether the topic is compacted; taken as not")
    return {topic for topic, policy in policies.items() if "compact" in (policy or "")}


def _whole_from(
    partitions: Partitions, source: Source, read: Mapping[TopicPartition, int], lateness_ms: int, is_compacted: bool
) -> int | None:
    """The time that an event of ``source`` may have at most if it was deleted before the job could read it; None: none was.

    ``read`` is how far the job has read, by partition; nothing of others.
    """
    ends = partitions.ends(source.topic)
    bounds = []
    for number, begin in partitions.begins(source.topic).items():
        place, end = TopicPartition(source.topic, number), ends[number]
        wanted = read.get(place, 0)
        if is_compacted and not partitions.has_all(place, wanted, end):
            newest = partitions.times(source, place, max(begin, end - SAMPLE), end)
            bounds.append(max(newest, default=partitions.latest_ms))
        elif begin > wanted:
            oldest = partitions.times(source, place, begin, min(begin + SAMPLE, end))
            bounds.append(_first(oldest, lateness_ms) if oldest else partitions.latest_ms)
    return max(bounds, default=None)


def _first(times: list[int], lateness_ms: int) -> int:
    """The time of the first record that is left, and as much as those behind it are out of order."""
    disorder = max(newest - at for newest, at in zip(accumulate(times, max), times, strict=True))
    return times[0] + min(disorder, lateness_ms)


def _newest_read(partitions: Partitions, source: Source, read: Mapping[TopicPartition, int]) -> int | None:
    """The time of the newest of the last events that the job has read; None where it has read none, or they are gone."""
    begins = partitions.begins(source.topic)
    ends = {place: end for place, end in read.items() if place.topic == source.topic and place.partition in begins}
    times = [partitions.times(source, p, max(begins[p.partition], end - SAMPLE), end) for p, end in ends.items()]
    return max((at for some in times for at in some), default=None)


class Partitions:
    """Partitions, and the event times of records in them."""

    def __init__(self, consumer: Any, event_times: EventTimes) -> None:
        self._consumer = consumer
        now_ms = int(time.time() * 1000)
        self.latest_ms = now_ms + event_times.max_ahead_ms
        """No good event was of a later time (rule 8)."""
        self._possible = event_times.span(now_ms)

    def begins(self, topic: str) -> dict[int, int]:
        """The first offset of each partition."""
        return {place.partition: begin for place, begin in self._consumer.beginning_offsets(self._of(topic)).items()}

    def ends(self, topic: str) -> dict[int, int]:
        """The offset behind the last of each partition."""
        return {place.partition: end for place, end in self._consumer.end_offsets(self._of(topic)).items()}

    def has_all(self, place: TopicPartition, begin: int, end: int) -> bool:
        """Whether each offset in [begin, end) is a record, as far as that is worth finding out."""
        return end <= begin or (end - begin <= SAMPLE and sum(1 for _ in self._values(place, begin, end)) == end - begin)

    def times(self, source: Source, place: TopicPartition, begin: int, end: int) -> list[int]:
        """The event times of the good events in [begin, end), in their order."""
        times = (event_time(value, source.time) for value in self._values(place, begin, end))
        return [at for at in times if at is not None and at in self._possible]

    def _of(self, topic: str) -> list[TopicPartition]:
        places = [TopicPartition(topic, number) for number in sorted(self._consumer.partitions_for_topic(topic) or ())]
        self._consumer.assign(places)  # of another topic than it is assigned to, kafka-python 3.0.12 may forget the leaders
        return places

    def _values(self, place: TopicPartition, begin: int, end: int) -> Iterator[bytes | None]:
        if begin >= end:
            return
        self._consumer.assign([place])
        self._consumer.seek(place, begin)
        while self._consumer.position(place) < end:
            for record in self._consumer.poll(timeout_ms=POLL_MS).get(place, ()):
                if record.offset < end:
                    yield record.value


def event_time(value: bytes | None, column: str) -> int | None:
    """The time of an event as it was published, UTC milliseconds; None where it has none that can be read.

    >>> event_time(b'{"at": 1000}', "at"), event_time(b'{"at": "1970-01-01T00:00:01Z"}', "at"), event_time(b"x", "at")
    (1000, 1000, None)
    """
    try:
        at = msgspec.json.decode(value or b"")[column]
        moment = datetime.fromisoformat(at) if isinstance(at, str) else None
    except (*UNREADABLE, ValueError, LookupError, TypeError):
        return None
    if moment is not None:
        return to_ms(moment) if moment.tzinfo else None
    return at if type(at) is int else None
