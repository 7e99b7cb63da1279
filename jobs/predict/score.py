"""Batch prediction: the features of history, and a score for each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from features.inputs.columns import features_of
from features.inputs.onnx import ScoredTable
from features.service import Service
from jobs.history.compute import Progress, compute

Score = Callable[[pa.Table], ScoredTable]
"""Scores the rows of a table with a plan's features, as `features.inputs.onnx.Onnx.score_table` does."""


def score_history(
    service: Service,
    score: Score,
    *,
    inputs: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    events: Path | None = None,
    histories: Mapping[str, Path] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> pa.Table:
    """What `jobs.history.compute.compute` gives, and ``score``, ``unscorable``: why there is no score, and ``outputs``, if any.

    ``inputs`` are the model's, lists as their columns: the table has the features ``wanted``, by default the plan's, and those.
    """
    plan = service.plan
    table = compute(
        service,
        wanted=tuple(dict.fromkeys((*(wanted or plan.inputs), *features_of(plan, inputs)))),
        start_ms=start_ms,
        end_ms=end_ms,
        events=events,
        histories=histories,
        threads=threads,
        on_progress=on_progress,
    )
    found = score(table)
    table = table.append_column("score", found.scores).append_column("unscorable", found.unscorable)
    return table if found.outputs is None else table.append_column("outputs", found.outputs)
