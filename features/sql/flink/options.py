"""What a Flink job needs to know besides its plan."""

from __future__ import annotations

import msgspec

from features.times import DAY_MS
from schemas.topics import DEAD_LETTERS, LATE_ROWS


class JobOptions(msgspec.Struct, frozen=True):
    """Where Kafka is, how the job reads it and what it may hold in memory. Times in milliseconds."""

    bootstrap: str = "localhost:9092"
    group: str = "headrace"
    dead_letters: str = DEAD_LETTERS.name
    late_rows: str = LATE_ROWS.name
    max_ahead_ms: int = 3_600_000
    """How far an event may be ahead of the clock (rule 8)."""
    vectors_from_ms: int | None = None
    """Spine events before this time fill the windows and get no vector: a backfill from the topic."""
    idle_timeout_ms: int = 10_000
    """A partition that is silent this long no longer holds the watermark back."""
    drift_ms: int = DAY_MS
    """Event-time mode: how far one source may read ahead of another, so that the waiting rows stay few."""
    batch_ms: int = 0
    """How long a message may wait for others that go to the same partition."""
    bounded: bool = False
    """Stop at the offsets that the topics have at the start."""
    cache_bytes: int = 0
    """How much of its state a stage keeps decoded in memory; 0: none, for state that is in memory as it is."""
    kept_bytes: int = 64 * 1024 * 1024
    """What a stage keeps in memory of the values of its windows, for functions that have no small partial."""
