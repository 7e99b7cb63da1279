"""How good scores are on the test rows, whoever gave them: the stream, or a model over history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import SettingError
from features.service import Service
from jobs.training.config import TrainConfig
from jobs.training.labels import labels_of, outcomes
from jobs.training.metrics import measure
from jobs.training.split import Split, test_rows


def rows_tested(service: Service, config: TrainConfig, split: Split, table: pa.Table) -> pd.DataFrame:
    """The test rows of ``split``, as `jobs.training.split.test_rows` gives them; ``table`` has the rows of all its days."""
    known = labels_of(service, config.label, config.task)
    return test_rows(outcomes(service.plan, table, known, config.group, split), split, config)


def assess(test: pd.DataFrame, scores: Mapping[Any, float], config: TrainConfig) -> dict[str, float]:
    """The metrics of ``scores``, by event id, on the rows of `rows_tested`. Raises `SettingError` where one has no score."""
    missing = [event for event in test["event_id"] if event not in scores]
    if missing:
        raise SettingError(
            f"each test row has a score; {len(missing)} have none, event {missing[0]} is the first; score them all"
        )
    return measure(test, np.array([scores[event] for event in test["event_id"]]), config)
