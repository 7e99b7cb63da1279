"""Batch prediction: the features of history, and a score for each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.inputs.arrow import BATCH, table_matrix
from features.inputs.columns import input_columns
from features.inputs.matrix import Floats
from features.service import Service
from jobs.history.compute import Progress, compute

Scores = Callable[[Floats], Floats]
"""[n, inputs] → [n], as `features.inputs.output.scores` gives them of a session."""


def score_history(
    service: Service,
    scores: Scores,
    *,
    inputs: Sequence[str] | None = None,
    wanted: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    events: Path | None = None,
    histories: Mapping[str, Path] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> pa.Table:
    """What `jobs.history.compute.compute` gives, and ``score``; ``inputs`` are the model's, by default the plan's."""
    table = compute(
        service,
        wanted=wanted,
        start_ms=start_ms,
        end_ms=end_ms,
        events=events,
        histories=histories,
        threads=threads,
        on_progress=on_progress,
    )
    plan = service.plan
    columns = input_columns(plan, plan.inputs if inputs is None else inputs)
    parts = [scores(table_matrix(table.slice(first, BATCH), plan, columns)) for first in range(0, table.num_rows, BATCH)]
    return table.append_column("score", pa.array(np.concatenate([np.empty(0, np.float32), *parts])))
