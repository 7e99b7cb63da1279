"""A newer model, and whether it is worse than the one in production: both on the same test days, by a paired bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

from features.errors import SettingError
from features.inputs.onnx import ScoredTable
from features.service import Service
from jobs.history.compute import Progress
from jobs.training.bootstrap import Doubles, Interval, bootstrap, paired
from jobs.training.config import TrainConfig
from jobs.training.keys import drawn_text, drawn_whole, independent, keys_of
from jobs.training.metrics import main_metric, measure
from jobs.training.rows import Rows
from jobs.training.split import Split, test_rows
from jobs.training.train import Trained, learn
from jobs.training.weighted import weighted_main

Needs = Literal["not-worse", "better"]
"""What a newer model has to be on the test days: not clearly worse than production, or clearly better."""


class Retrained(msgspec.Struct, frozen=True):
    """A newer model, and how it does beside the one in production."""

    trained: Trained
    metric: str
    higher_is_better: bool
    production: Interval
    candidate: Interval
    difference: Interval
    """The candidate's less production's."""
    production_metrics: dict[str, float]
    rows: int
    """The test rows that both scored."""
    drawn: str
    """What the intervals were drawn by: ``keys and days``, say."""
    units: int
    """How many keys, or without keys days, there were; of a classification those that have the rarer label."""

    def meets(self, needs: Needs) -> bool:
        """Whether it is not clearly worse (the interval of the difference reaches 0), or clearly better (it lies beyond).

        Without an interval nothing is clear: the difference itself says whether it is worse, and it is never better.
        """
        sign = 1 if self.higher_is_better else -1
        if not self.difference.is_known:
            return needs == "not-worse" and sign * self.difference.value >= 0
        worst, best = sorted((sign * self.difference.low, sign * self.difference.high))
        return worst > 0 if needs == "better" else best >= 0


def retrain(
    service: Service,
    config: TrainConfig,
    split: Split,
    rows: Rows,
    production: Callable[[pa.Table], ScoredTable],
    *,
    start: bytes | None = None,
    on_progress: Progress | None = None,
) -> Retrained:
    """Train on ``rows``, and compare with ``production``, which scores the test rows' features, on `main_metric`.

    ``start`` is what training goes on from, as `learn` has it.
    What a draw takes whole is in `jobs.training.keys`. Raises `SettingError` where production gives a test row no score.
    """
    if on_progress:
        on_progress("training", 0, 2)
    trained = learn(service, config, split, rows, start)
    if on_progress:
        on_progress("scoring with production", 1, 2)
    scores = scored(production, rows)
    test = test_rows(rows.frame, split, config)
    labels = test["label"].to_numpy()
    one, other = (weighted_main(config.task, labels, values) for values in (scores, trained.scores))
    keys = keys_of(service.plan, rows.table.filter(pa.array(rows.test)), config)
    kinds = drawn_whole(keys, test["day"].to_numpy(np.int64))
    told = (lambda done, total: on_progress("drawing", done, total)) if on_progress else None
    before, after, apart = bootstrap(paired(one, other), kinds, on_draw=told)
    metric = main_metric(config.task)
    return Retrained(
        trained,
        metric.name,
        metric.higher_is_better,
        before,
        after,
        apart,
        measure(test, scores, config),
        len(test),
        drawn_text(keys, kinds),
        independent(kinds[0], labels, config.task),
    )


def scored(model: Callable[[pa.Table], ScoredTable], rows: Rows) -> Doubles:
    """A model's scores of the test rows, [test rows]. Raises `SettingError` where one has none."""
    given = model(rows.table.filter(pa.array(rows.test)))
    if given.scores.null_count:
        why = next(text for text in given.unscorable.to_pylist() if text is not None)
        raise SettingError(
            f"two models are compared on rows that both score; production gives {given.scores.null_count:,} test rows no score: "
            f"{why}; use 'headrace train'"
        )
    return np.asarray(given.scores.to_numpy(zero_copy_only=False), np.float64)
