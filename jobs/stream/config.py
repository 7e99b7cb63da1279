"""What a stream job is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from features.sql.flink import JobOptions


class StreamConfig(msgspec.Struct, frozen=True):
    """Where the job runs and what it may cost there; what its SQL says is in ``sql``."""

    sql: JobOptions
    kafka: dict[str, Any]
    """What a kafka-python client is given: at the start, topics are looked at, and which records have their dead letter."""
    whole_from_ms: int | None
    """Events of this time or later are all in the topics, also where Kafka has deleted some; None: as its log says."""
    jars: tuple[Path, ...]
    """The operator's and the Kafka connector's."""
    checkpoints: Path
    """A folder; the job's own state is below it, by its name, its plan's digest and the state backend."""
    parallelism: int
    checkpoint_interval_ms: int
    state_backend: Literal["heap", "rocksdb"]
    """Neither restores from the other's checkpoints."""
    rocksdb_memory_mb: int
    """Of an embedded Flink; a cluster has managed memory of its own."""
    jvm_options: str
    """Of the JVM of an embedded Flink."""
    warm_up_ms: int
    """The longest warm-up of each task of an embedded Flink."""
    cluster: str | None
    """``host:port`` of a running Flink cluster; None: Flink in this process."""
    metrics_port: int | None
    """Of the loopback, where Prometheus reads metrics; 0: a free one; None: there are none."""
    ready_file: Path | None
    """Written when every task runs: the address of Flink's REST API, and the job's id."""
    logs: Path | None
    """Folder of an embedded Flink's own log."""
