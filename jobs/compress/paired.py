"""How sure a candidate's difference to the original is: the bootstrap of training, both on the same draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from jobs.training.blocks import Blocks
from jobs.training.bootstrap import Doubles, Interval, bootstrap
from jobs.training.config import TrainConfig
from jobs.training.weighted import Metric, precision_at, statistics

RESAMPLES = 500


def intervals(
    frame: pd.DataFrame, scores: Sequence[Doubles], blocks: Sequence[Blocks], config: TrainConfig, resamples: int = RESAMPLES
) -> list[dict[str, Interval]]:
    """For each of ``scores`` after the first, which are the original's: of each metric the interval of what it has beyond.

    ``frame`` is as `jobs.training.split.test_rows` gives it, ``blocks`` as `jobs.training.blocks.blocks`. Groups among the
    highest of a day are drawn by themselves, without days: `jobs.training.weighted.precision_at`.
    """
    found = _paired([statistics(frame, one, config) for one in scores], blocks, resamples)
    if config.task == "regression" or config.group is None:
        return found
    name = f"precision_at_{config.group_top}_by_{config.group}"
    of_groups = _paired([{name: precision_at(frame, one, config.group_top)} for one in scores], blocks[:1], resamples)
    return [one | more for one, more in zip(found, of_groups, strict=True)]


def _paired(each: Sequence[Mapping[str, Metric]], blocks: Sequence[Blocks], resamples: int) -> list[dict[str, Interval]]:
    names, others = list(each[0]), len(each) - 1
    if not others:
        return []

    def apart(weights: Doubles) -> Doubles:
        values = np.array([[one[name](weights) for name in names] for one in each])
        beyond: Doubles = (values[1:] - values[0]).ravel()
        return beyond

    found = iter(bootstrap(apart, blocks, resamples=resamples))
    return [{name: next(found) for name in names} for _ in range(others)]
