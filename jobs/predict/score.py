"""Batch prediction: the features of history, and a score for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa

from features.inputs.columns import features_of
from features.inputs.onnx import ScoredTable
from features.service import Service
from jobs.history.compute import Progress, stream_features
from jobs.history.places import Written
from jobs.history.rows_file import together

Score = Callable[[pa.Table], ScoredTable]
"""Scores the rows of a table with a plan's features, as `features.inputs.onnx.Onnx.score_table` does."""


def stream_scores(
    service: Service,
    score: Score,
    *,
    inputs: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    events: Written | None = None,
    histories: Mapping[str, Written] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> Iterator[pa.Table]:
    """What `jobs.history.compute.stream_features` gives, with ``score``, ``unscorable``: why there is none, and any ``outputs``.

    ``inputs`` are the model's, lists as their columns: the tables have the features ``wanted``, by default the plan's, and those.
    """
    plan = service.plan
    tables = stream_features(
        service,
        wanted=tuple(dict.fromkeys((*(wanted or plan.inputs), *features_of(plan, inputs)))),
        start_ms=start_ms,
        end_ms=end_ms,
        events=events,
        histories=histories,
        threads=threads,
        on_progress=on_progress,
    )
    for table in tables:
        found = score(table)
        scored = table.append_column("score", found.scores).append_column("unscorable", found.unscorable)
        yield scored if found.outputs is None else scored.append_column("outputs", found.outputs)


def score_history(
    service: Service,
    score: Score,
    *,
    inputs: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> pa.Table:
    """What `stream_scores` gives, as one table in memory."""
    return together(stream_scores(service, score, inputs=inputs, wanted=wanted, start_ms=start_ms, end_ms=end_ms))
