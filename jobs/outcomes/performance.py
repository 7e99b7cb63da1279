"""How right predictions were, of the event days whose labels are due: every number with its interval, and the label coverage."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

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
MEASURED = ("event_time", "score", "model", "version", "label")
"""The columns of outcomes that are measured, beside a key and segments."""


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


def frame_of(outcomes: pa.Table, columns: Iterable[str]) -> pd.DataFrame:
    """What is measured of outcomes, `MEASURED` and the ``columns``: some 50 bytes a row, where all of them are several hundred.

    A whole number stays one where others are null: ids beyond 2⁵³ are no doubles.
    """
    wanted = outcomes.select(list(dict.fromkeys((*MEASURED, *columns))))
    nullable = [field.name for field in wanted.schema if pa.types.is_integer(field.type) and wanted[field.name].null_count]
    frame: pd.DataFrame = wanted.drop_columns(nullable).to_pandas()
    return frame.assign(**{name: wanted[name].to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get) for name in nullable})


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

    They are as `frame_of` gives them; ``key`` and ``columns`` are among their columns. What a draw of the bootstrap
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
    codes, known = pd.factorize(_without_decimals(values))
    if pd.api.types.is_integer_dtype(known):
        known = known.astype(np.int64)
    names = np.array([*_names(known, codes[codes >= 0]), NONE], object)
    return pd.Series(names[codes], values.index)


def _names(known: Any, codes: npt.NDArray[np.intp]) -> list[str]:
    """What the segment of each of the ``known`` values is called; ``codes``: which of them each row has."""
    if len(known) <= MOST_SEGMENTS:
        return _texts(known)
    if pd.api.types.is_numeric_dtype(known):
        edges = _edges(known[codes])
        bins = [f"{low} to {high}" for low, high in pairwise(_texts(edges))]
        return [bins[_bin(value, edges)] for value in known.tolist()]
    most = set(np.argsort(-np.bincount(codes), kind="stable")[:MOST_SEGMENTS].tolist())
    return [_named(value) if place in most else OTHERS for place, value in enumerate(known)]


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


def _named(value: object) -> str:
    """A value as its segment is called; a text that reads as another segment, or as nothing, is in quotes."""
    return json.dumps(value) if value in ("", OTHERS, NONE) else str(value)


def _texts(values: Sequence[Any]) -> list[str]:
    """Of different values different texts: of doubles with as many digits, 6 at least, as tell them apart."""
    if not all(isinstance(value, float) for value in values):
        return [_named(value) for value in values]
    found = ([f"{value:.{digits}g}" for value in values] for digits in range(6, 18))
    return next(texts for texts in found if len(set(texts)) == len(values))


def _edges(values: Any) -> list[Any]:
    """The edges of bins of equal size, each once. They are values that there are: of whole numbers no double need hold them."""
    ordered = np.sort(values)
    places = [-(-part * (len(ordered) - 1) // BINS) for part in range(BINS + 1)]
    edges: list[Any] = np.unique(ordered[places]).tolist()
    return edges


def _bin(value: Any, edges: Sequence[Any]) -> int:
    """Which bin a value is in: the one that begins with an edge has it."""
    return min(max(bisect_right(edges, value), 1), len(edges) - 1) - 1
