"""What a Flink job needs to know besides its plan."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class JobOptions(msgspec.Struct, frozen=True):
    """Where Kafka is, how the job reads it and what it may hold in memory. Times in milliseconds."""

    bootstrap: str
    isolation_level: str
    """Kafka's ``isolation.level``, of the sources."""
    group: str
    dead_letters: str
    late_rows: str
    max_ahead_ms: int
    """How far an event may be ahead of the clock (rule 8)."""
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
