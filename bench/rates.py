"""A stream job over topics that are full, run to their end, and the rate at which it wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.common import process, rate, times
from features.job import job_plan
from features.plan import Plan
from infra.config import stream_config
from infra.local.broker import Broker
from infra.settings import StreamSettings
from jobs.stream.job import run

PARALLELISM = 2
BATCH_MS = 5
"""Flat out: what the peers' sinks have too."""
FLAT_OUT_JVM = "-XX:+UseParallelGC"
"""With the JVM's second compiler, which pays for what is flat out."""
SECONDS = 900


def stream_rate(plan: Plan, broker: Broker, folder: Path, **changes: Any) -> tuple[float, float]:
    """Vectors written a second by the job of ``plan``: of all, and of the second half."""
    section = StreamSettings(**{"parallelism": PARALLELISM, "batch_ms": BATCH_MS, "jvm_options": FLAT_OUT_JVM, **changes})
    config = stream_config(section, bootstrap=broker.bootstrap, checkpoints=folder / "checkpoints", bounded=True)
    return output_rate(broker, plan.features_topic, run, job_plan([plan]), config)


def output_rate(broker: Broker, topic: str, target: Callable[..., None], *arguments: Any) -> tuple[float, float]:
    """Records a second that ``target``, a job that ends, writes to ``topic``: of all, and of the second half."""
    broker.create_topics({topic: PARALLELISM, "dead_letters": 1, "late_rows": 1})
    with process(target, *arguments) as job:
        job.join(SECONDS)
        if job.exitcode != 0:
            raise RuntimeError(f"the job that writes {topic} ended with {job.exitcode}")
    stamps = times(broker.bootstrap, topic)
    return rate(stamps), rate(stamps, 0.5)
