"""Which rows resemble each other, and are drawn together: those of one key, and those of one day."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.inputs.signature import Task
from features.plan import Plan
from jobs.training.config import TrainConfig
from jobs.training.fitted import Labels

Blocks = npt.NDArray[np.int64]
"""Which block each row is of, [rows]."""
LEAST_DAYS = 5
"""Fewer days than these are no blocks to draw from: only keys are."""
UNITS = 30
"""Fewer keys, groups or other blocks than this, of the rarer label, give an interval that is too narrow."""


def key_of(plan: Plan, config: TrainConfig) -> tuple[str, ...]:
    """The spine's columns whose rows resemble each other: the group, or else the first key that features are of; none without."""
    if config.group is not None:
        return (config.group,)
    keys = [*(stage.key for stage in plan.windows), *(view.key for view in plan.batch)]
    return keys[0] if keys else ()


def keys_of(plan: Plan, table: pa.Table, config: TrainConfig) -> Blocks | None:
    """The rows of ``table``, which has the spine's columns, by `key_of`, null a value too; None without a key."""
    key = key_of(plan, config)
    if not key:
        return None
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in key}
    return pd.DataFrame(columns).groupby(list(key), sort=False, dropna=False).ngroup().to_numpy().astype(np.int64)


def independent(units: Blocks, labels: Labels, task: Task) -> int:
    """How many units there are; of a classification, those that have the rarer of both ``labels``, [rows]."""
    if task == "regression":
        return len(np.unique(units))
    return min(len(np.unique(units[labels == label])) for label in (0, 1))


def drawn_text(keys: Blocks | None, kinds: Sequence[Blocks]) -> str:
    """What `drawn_whole` takes, for people."""
    return "days" if keys is None else "keys and days" if len(kinds) > 1 else "keys"


def drawn_whole(keys: Blocks | None, days: Blocks) -> list[Blocks]:
    """The kinds of blocks of a bootstrap: keys, and days where there are `LEAST_DAYS` of them; without keys, days."""
    if keys is None:
        return [days]
    return [keys, days] if len(np.unique(days)) >= LEAST_DAYS else [keys]
