"""How good scores are on the test rows, whoever gave them: the stream, or a model over history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from features.errors import SettingError
from features.service import Service
from jobs.training.config import TrainConfig
from jobs.training.labels import labels, outcomes
from jobs.training.metrics import measure
from jobs.training.split import Split, rows_to_test


def assess(service: Service, config: TrainConfig, split: Split, table: pa.Table, scores: Mapping[Any, float]) -> dict[str, float]:
    """The metrics of ``scores``, by event id, on the test rows of ``split``; ``table`` has the spine's rows of all its days.

    Raises `SettingError` where a test row has no score.
    """
    frame = outcomes(service.plan, table, labels(service, config.label), config.group)
    test = frame[rows_to_test(frame, split, config)]
    missing = [event for event in test["event_id"] if event not in scores]
    if missing:
        raise SettingError(
            f"each test row has a score; {len(missing)} have none, event {missing[0]} is the first; score them all"
        )
    return measure(test, np.array([scores[event] for event in test["event_id"]]), config)
