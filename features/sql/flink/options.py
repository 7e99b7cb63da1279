"""What a Flink job needs to know besides its plan."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from features.outcomes import AnyJob
from features.seam import Seam

CLIENT = "org.apache.flink.kafka.shaded.org.apache.kafka"
"""Kafka's Java client as Flink's connector has it: what the names of its classes and system properties begin with."""


class History(msgspec.Struct, frozen=True):
    """The history that a job begins with, before its topics."""

    seam: Seam
    folder: str
    """Of its files, which every machine of the job sees."""
    start: str
    """A name that each submission of the job has for itself."""


class JobOptions(msgspec.Struct, frozen=True):
    """Where Kafka is, how the job reads it and what it may hold in memory. Times in milliseconds."""

    bootstrap: str
    longest: Mapping[str, int]
    """The longest record that a topic takes, by its name; one that is not here is as we make it."""
    isolation_level: str
    """Kafka's ``isolation.level``, of the sources."""
    group: str
    """Begins the name of the job's consumer group."""
    dead_letters: str
    late_rows: str
    max_ahead_ms: int
    """How far an event may be ahead of the clock (rule 8)."""
    max_age_days: int
    """How old an event may be (rule 8)."""
    vectors_from_ms: int | None
    """Spine events before this time fill the windows and get no vector: a backfill from the topic."""
    idle_timeout_ms: int
    """A partition that is silent this long no longer holds the watermark back."""
    drift_ms: int
    """Event-time mode: how far one source may read ahead of another, so that the waiting rows stay few."""
    batch_ms: int
    """How long a message may wait for others that go to the same partition."""
    discovery_ms: int
    """Between two looks for new partitions of a source."""
    bounded: bool
    """Stop at the offsets that the topics have at the start."""
    cache_bytes: int
    """How much of its state a stage keeps decoded in memory; 0: none, for state that is in memory as it is."""
    kept_bytes: int
    """What a stage keeps in memory of the values of its windows, for functions that have no small partial."""
    whole_after_ms: Mapping[str, int] = {}
    """By source: events of this time or before may have been deleted before the job could read them (rule 6); absent: none."""
    newest_ms: Mapping[str, int] = {}
    """By source: the time of the newest event that is read already, where the job goes on from a checkpoint."""
    history: History | None = None
    """None: the job was not backfilled."""
    queries: str | None = None
    """The column of the spine in which an event that gets no vector has null; None: there is none."""
    vectors_from: Mapping[int, int] | None = None
    """By partition of the spine's topic: events before this offset fill the windows and get no vector, as another job gives
    them one, beside which this was started. None: it was started beside none."""
    client: Mapping[str, str] = {}
    """Properties of Kafka's Java client, beside its address: how Kafka is spoken to, without secrets."""

    def group_of(self, job: AnyJob) -> str:
        """The consumer group of ``job``; a job beside another has one of its own."""
        return job_group(self.group, job, is_beside=self.vectors_from is not None)

    @property
    def wants_all(self) -> bool:
        """Whether each event of the spine gets a vector."""
        return self.vectors_from_ms is None and self.vectors_from is None and self.queries is None

    @property
    def kafka(self) -> dict[str, str]:
        """The properties of a table's Kafka client."""
        client = {"bootstrap.servers": self.bootstrap, **self.client}
        return {f"properties.{key}": value for key, value in client.items()}


def job_group(group: str, job: AnyJob, *, is_beside: bool) -> str:
    """The consumer group of a job, whose name begins with ``group``."""
    name = f"{group}.{job.name}"
    return f"{name}.{job.short_digest}" if is_beside else name
