"""How right predictions were, of the event days whose labels are due: every number with its interval, and the label coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.inputs.signature import Task
from features.times import DAY_MS
from jobs.training.bootstrap import Interval, bootstrap
from jobs.training.keys import Blocks, drawn_whole
from jobs.training.weighted import Metric, Ranking, calibration_error, log_losses, mean_of, quantile_losses
from schemas.deployment import Placed
from schemas.outcomes_report import CohortKind

RESAMPLES = 400
QUANTILES = (0.1, 0.9)
LOWEST_COVERAGE = 0.95
"""Where fewer labels are known of days that are due, the numbers may be of an odd choice of events."""
MOST_SEGMENTS, BINS = 10, 5
"""A segment's column with more values: of numbers so many bins of equal size, else its most frequent values, and the others."""
ALL, OTHERS, NONE = "all", "(others)", "(none)"


class Performance(msgspec.Struct, frozen=True):
    """How right the predictions of some rows were."""

    kind: CohortKind
    name: str
    rows: int
    """Events that were predicted."""
    labelled: int
    """Those whose label is known."""
    metrics: dict[str, Interval]
    """Of the labelled ones; a metric that they do not have, as the AUC of one class, is left out."""
    column: str = ""
    """Of a segment, the column whose values these are."""

    @property
    def coverage(self) -> float:
        """The share of the events whose label is known."""
        return self.labelled / self.rows if self.rows else float("nan")


def performances(
    outcomes: pd.DataFrame,
    task: Task,
    key: str | None,
    columns: Sequence[str] = (),
    *,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> list[Performance]:
    """The performance of all rows, by version, by segment of each of the ``columns`` and by day; ``outcomes`` are of
    matured days only.

    It has the columns of `jobs.outcomes.join.Joined`; ``key`` and ``columns`` are among them. What a draw of the bootstrap
    takes whole is in `jobs.training.keys.drawn_whole`; a row without a key is one of its own.
    """
    whole = outcomes.assign(_day=outcomes["event_time"] // DAY_MS)
    parts: list[tuple[CohortKind, str, str, pd.DataFrame]] = [("matured", "", ALL, whole)]
    parts += [("version", "", name, rows) for name, rows in by_version(whole)]
    for column in columns:
        named = segments(whole[column])
        parts += [("segment", column, name, whole[named == name]) for name in _in_order(whole[column], named)]
    days = sorted(set(whole["_day"].tolist()))
    parts += [("day", "", str(np.datetime64(day, "D")), whole[whole["_day"] == day]) for day in days]
    found = []
    for done, (kind, column, name, rows) in enumerate(parts):
        if on_progress:
            on_progress("measuring", done, len(parts))
        labelled = rows[rows["label"].notna()]
        found.append(Performance(kind, name, len(rows), len(labelled), measured(labelled, task, key), column))
    return found


def by_version(outcomes: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The outcomes of each version, which is named as it is everywhere."""
    groups: Any = outcomes.groupby(["model", "version"])
    for (model, version), rows in groups:
        yield str(Placed(model, version)), rows


def segments(values: pd.Series[Any]) -> pd.Series[Any]:
    """Which segment each row is of, as text: its value, or its bin where there are more than `MOST_SEGMENTS`."""
    values = _without_decimals(values)
    known = values[values.notna()]
    if known.nunique() <= MOST_SEGMENTS:
        found = values.map(_text, na_action="ignore")
    elif pd.api.types.is_numeric_dtype(known):
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)))
        found = values.map(lambda value: _bin(value, edges), na_action="ignore")
    else:
        most = set(known.value_counts().index[:MOST_SEGMENTS])
        found = values.map(lambda value: str(value) if value in most else OTHERS, na_action="ignore")
    return found.astype(object).where(values.notna(), NONE)


def _in_order(values: pd.Series[Any], named: pd.Series[Any]) -> list[str]:
    """The segments of numbers by value, of others those with the most rows first; what is no value of its own comes last."""
    values = _without_decimals(values)
    if pd.api.types.is_numeric_dtype(values):
        names = list(values.groupby(named).min().sort_values().index)
    else:
        names = list(named.value_counts().index)
    return sorted(names, key=lambda name: (name == NONE, name == OTHERS))


def _without_decimals(values: pd.Series[Any]) -> pd.Series[Any]:
    return values.astype(np.float64) if any(isinstance(value, Decimal) for value in values) else values


def metrics_of(task: Task, labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> Mapping[str, Metric]:
    """The metrics of a task, by name: functions of the rows' weights.

    Log loss and calibration are of scores that are chances, in [0, 1]; of other scores they are left out.
    """
    if task == "regression":
        quantiles = {f"quantile_loss_{quantile:g}": mean_of(quantile_losses(labels, scores, quantile)) for quantile in QUANTILES}
        return {"mae": mean_of(np.abs(scores - labels)), "bias": mean_of(scores - labels), **quantiles}
    ranking = Ranking(labels, scores)
    found: dict[str, Metric] = {"average_precision": ranking.average_precision, "auc": ranking.auc}
    if len(scores) and scores.min() >= 0 and scores.max() <= 1:
        found |= {
            "log_loss": mean_of(log_losses(labels, scores)),
            "calibration_error": calibration_error(labels, scores),
            "mean_score": mean_of(scores),
        }
    return found | {"share_of_label_1": mean_of(labels)}


def measured(rows: pd.DataFrame, task: Task, key: str | None) -> dict[str, Interval]:
    """The metrics of labelled rows, which have a column ``_day``, each with its interval; what they do not have is left out."""
    if not len(rows):
        return {}
    metrics = metrics_of(task, rows["label"].to_numpy(np.float64), rows["score"].to_numpy(np.float64))
    found = bootstrap(
        lambda weights: np.array([measure(weights) for measure in metrics.values()]),
        blocks(rows, key),
        resamples=RESAMPLES,
    )
    return {name: one for name, one in zip(metrics, found, strict=True) if np.isfinite(one.value)}


def blocks(rows: pd.DataFrame, key: str | None) -> list[Blocks]:
    """What a draw of the bootstrap takes whole of outcomes, which have a column ``_day``."""
    return drawn_whole(_keys(rows, key), rows["_day"].to_numpy(np.int64))


def _keys(rows: pd.DataFrame, key: str | None) -> Blocks | None:
    if key is None:
        return None
    numbers: Blocks = pd.factorize(rows[key])[0].astype(np.int64)
    alone = numbers < 0
    numbers[alone] = np.arange(alone.sum()) + numbers.max(initial=0) + 1
    return numbers


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bin(value: float, edges: npt.NDArray[np.float64]) -> str:
    place = int(np.clip(np.searchsorted(edges, value, side="right"), 1, len(edges) - 1))
    return f"{edges[place - 1]:g} to {edges[place]:g}"
