"""What an end-to-end run came to: counts that add up, latency, quality beside the batch evaluation, parity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np

from features.service import Service
from features.times import DAY_MS
from infra.run.watch import Seen
from infra.settings import RunSettings
from infra.train_settings import TrainSettings
from jobs.audit.compare import compare
from jobs.audit.comparison import Comparison
from jobs.audit.ledger import Ledger
from jobs.predict.score import score_history
from schemas import FeatureVector
from serving.models.manifest import Manifest, Model
from serving.models.session import load_model


class Stream(msgspec.Struct, frozen=True):
    """What was seen of a run on the topics."""

    seen: Seen
    scores: Mapping[Any, float]
    latencies: Sequence[int]
    """Milliseconds, one for each prediction."""
    vectors: Sequence[FeatureVector]
    ledger: Ledger
    """Of the rows that came late meanwhile."""
    silence_seconds: float
    """How long the last events waited for others that could still come."""


class Report(msgspec.Struct, frozen=True):
    """The end of a run."""

    service: str
    model: Manifest
    seen: Seen
    events_per_second: float
    """From the first event to the last prediction, but for the silence after the events."""
    p50: float
    p99: float
    """Milliseconds, of all predictions, the JVM's warm-up included."""
    warm_p50: float
    warm_p99: float
    """Of the second half."""
    streamed: dict[str, float]
    """The model's metrics on the scores that the stream gave."""
    batch: dict[str, float]
    """The same metrics on the same rows, scored by the batch path."""
    parity: Comparison
    versions: dict[str, str]

    @property
    def proven(self) -> bool:
        """Whether every event adds up, is in history, and has no value that differs without a cause."""
        return self.adds_up and not self.parity.not_in_history and not self.parity.unexplained

    @property
    def adds_up(self) -> bool:
        """Whether every event that was published has a prediction or a dead letter."""
        return self.seen.published == self.seen.accounted


def build(service: Service, label: TrainSettings, run: RunSettings, model: Model, stream: Stream) -> Report:
    """The report of ``stream``: computes and scores the same days with the batch engine, and compares the two."""
    from jobs.training.assess import assess, rows_tested

    config, split, plan = label.config, run.split, service.plan
    table = score_history(
        service,
        partial(load_model(model).score_table, plan=plan),
        inputs=model.manifest.inputs,
        wanted=tuple(dict.fromkeys((*plan.inputs, *(feature.name for feature in plan.window_features)))),
        start_ms=split.first_day * DAY_MS,
        end_ms=split.end_day * DAY_MS,
    )
    test = rows_tested(service, config, split, table)
    ids, found = table[plan.spine_source.event_id].to_pylist(), table["score"].to_pylist()
    scored = {event: score for event, score in zip(ids, found, strict=True) if score is not None}
    p50, p99 = np.percentile(stream.latencies, (50, 99)).tolist()
    warm_p50, warm_p99 = np.percentile(stream.latencies[len(stream.latencies) // 2 :], (50, 99)).tolist()
    return Report(
        service=run.service,
        model=model.manifest,
        seen=stream.seen,
        events_per_second=stream.seen.published / max(stream.seen.seconds - stream.silence_seconds, 1e-3),
        p50=p50,
        p99=p99,
        warm_p50=warm_p50,
        warm_p99=warm_p99,
        streamed=assess(test, stream.scores, config),
        batch=assess(test, scored, config),
        parity=compare(plan, table, stream.vectors, stream.ledger),
        versions={name: version(name) for name in ("headrace", "apache-flink", "onnxruntime", "feast", "kafka-python")},
    )
