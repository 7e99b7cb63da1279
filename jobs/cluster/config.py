"""What a job over files is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from features.sql.flink import JobOptions


class ClusterConfig(msgspec.Struct, frozen=True):
    """Which cluster computes, and what it may take."""

    cluster: str
    """``host:port`` of its REST API."""
    sql: JobOptions
    jars: tuple[Path, ...]
    """The operator's and the Kafka connector's, which Flink looks into for table formats."""
    folder: Path
    """Seen by every machine of the cluster; the job's files are in a folder of their own in it, which is deleted afterwards."""
    parallelism: int
    state_backend: Literal["heap", "rocksdb"]
    logs: Path
    """Folder of the log of the JVM that submits the job."""
