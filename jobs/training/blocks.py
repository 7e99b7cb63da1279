"""What a bootstrap draws whole: the rows of a key, and those of a day."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.inputs.signature import Task
from features.plan import Plan
from jobs.training.config import TrainConfig

Blocks = npt.NDArray[np.int64]
LEAST_DAYS = 5
"""Fewer days than these are no blocks to draw from: only keys are."""


def blocks(plan: Plan, table: pa.Table, test: pd.DataFrame, config: TrainConfig) -> list[Blocks]:
    """What a draw takes whole: rows of one group (without one, of the first key that features are of), and of one day."""
    keys = (
        (config.group,) if config.group is not None else (plan.windows or plan.batch)[0].key if plan.windows or plan.batch else ()
    )
    found: list[Blocks] = []
    if keys:
        columns = {name: table[plan.spine_source.column(name).name].to_numpy(zero_copy_only=False) for name in keys}
        found.append(pd.DataFrame(columns).groupby(list(columns), sort=False).ngroup().to_numpy().astype(np.int64))
    days = test["day"].to_numpy(np.int64)
    return [*found, days] if not found or len(np.unique(days)) >= LEAST_DAYS else found


def independent(blocks: Blocks, labels: npt.NDArray[np.float64], task: Task) -> int:
    """How many blocks there are; of a classification, those that have the rarer of both labels."""
    if task == "regression":
        return len(np.unique(blocks))
    return min(len(np.unique(blocks[labels == label])) for label in (0, 1))
