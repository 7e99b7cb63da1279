"""What a run of the main job came to: counts that add up, latency, quality beside the batch evaluation, parity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np

from features.plan import DAY_MS
from features.service import Service
from infra.run.watch import Seen
from infra.settings import RunSettings, TrainSettings
from jobs.audit.parity import Ledger, Parity, compare
from jobs.history.compute import compute
from jobs.training.experiment import Labels, assess
from schemas import FeatureVector
from serving.models.manifest import Manifest


class Stream(msgspec.Struct, frozen=True):
    """What was seen of a run on the topics."""

    seen: Seen
    scores: Mapping[Any, float]
    latencies: Sequence[int]
    """Milliseconds, one for each prediction."""
    vectors: Sequence[FeatureVector]
    ledger: Ledger
    """Of the rows that came late meanwhile."""


class Report(msgspec.Struct, frozen=True):
    """The end of a run."""

    service: str
    model: Manifest
    seen: Seen
    events_per_second: float
    p50: float
    p99: float
    """Milliseconds, of all predictions: a run starts with a cold JVM."""
    warm_p50: float
    warm_p99: float
    """Of the second half."""
    streamed: dict[str, float]
    """The model's metrics on the scores that the stream gave."""
    batch: dict[str, float]
    """The same metrics on the same rows, scored by the batch path."""
    parity: Parity
    versions: dict[str, str]

    @property
    def adds_up(self) -> bool:
        """Whether every event that was published is answered or on the dead-letter topic."""
        return self.seen.published == self.seen.answered


def build(service: Service, label: TrainSettings, run: RunSettings, manifest: Manifest, stream: Stream) -> Report:
    """The report of ``stream``: computes the same days with the batch engine, and holds the two against each other."""
    split = run.split
    table = compute(service, start_ms=split.first_day * DAY_MS, end_ms=(split.first_test_day + run.days) * DAY_MS)
    config = Labels(**label.model_dump())
    p50, p99 = np.percentile(stream.latencies, (50, 99)).tolist()
    warm_p50, warm_p99 = np.percentile(stream.latencies[len(stream.latencies) // 2 :], (50, 99)).tolist()
    streamed = assess(service, config, split, table, stream.scores)
    return Report(
        service=run.service,
        model=manifest,
        seen=stream.seen,
        events_per_second=stream.seen.published / stream.seen.seconds,
        p50=p50,
        p99=p99,
        warm_p50=warm_p50,
        warm_p99=warm_p99,
        streamed=streamed,
        batch={name: manifest.metrics[name] for name in streamed},
        parity=compare(service.plan, table, stream.vectors, stream.ledger if service.plan.mode == "arrival" else None),
        versions={name: version(name) for name in ("headrace", "apache-flink", "onnxruntime", "feast", "kafka-python")},
    )
