"""A point-in-time training set, and from it a model: trained, converted to ONNX, checked, tested and registered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from features.inputs.columns import input_columns
from features.inputs.matrix import Floats
from features.inputs.reference import Reference
from features.inputs.signature import Task
from features.plan import Plan
from features.service import Service
from features.sql.duckdb.batch_views import incomplete_column
from features.times import DAY_MS
from jobs.history.batch_rows import BatchRows, batch_rows
from jobs.history.compute import Progress
from jobs.history.places import Written
from jobs.training.config import TrainConfig
from jobs.training.fitted import Fitted, Labels, agreeing_scores
from jobs.training.metrics import measure
from jobs.training.networks import sequences_of
from jobs.training.reference import check_segments, reference_of, watched
from jobs.training.rows import Mask, Rows, rows_of
from jobs.training.split import Split, test_rows
from jobs.training.trainers import chosen, takes_sequences

GOLDEN_ROWS = 256
"""How many of the test rows a version may be replayed on."""


class Register(Protocol):
    """Where models go: `infra.models.registering` of a registry, or what does the same."""

    def __call__(
        self,
        onnx: bytes,
        *,
        name: str,
        inputs: tuple[str, ...],
        plan: Plan,
        task: Task,
        trained_from: int,
        trained_until: int,
        metrics: Mapping[str, float],
        lineage: Mapping[str, str],
        created_at: int,
        golden_rows: Sequence[tuple[float | None, ...]],
        reference: Reference | None = None,
    ) -> Any:
        """Store the model as the next version of ``name``; gives its manifest.

        ``lineage`` is how it was made, ``golden_rows`` are test rows in the order of ``inputs``, None for null; ``reference``
        is what live rows are held against.
        """


class TrainResult(msgspec.Struct, frozen=True):
    """A registered model, and how it did on the days after those that it was trained on."""

    manifest: Any
    metrics: dict[str, float]
    onnx: bytes
    batch: tuple[BatchRows, ...]
    """What the rows of training and test had of batch views."""


class Trained(msgspec.Struct, frozen=True):
    """A model that is not registered yet."""

    onnx: bytes
    inputs: tuple[str, ...]
    scores: Labels
    """Of the test rows, [test rows]."""
    golden: Floats
    metrics: dict[str, float]
    """On the test rows, and how many rows there were."""
    batch: tuple[BatchRows, ...]
    reference: Reference
    """What monitoring holds live rows against."""


def train(
    service: Service,
    config: TrainConfig,
    split: Split,
    *,
    register: Register,
    name: str | None = None,
    histories: Mapping[str, Written] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> TrainResult:
    """Train a model for ``service``, test it and register it as ``name`` (by default the service's).

    Raises `SettingError` where the days have no rows or, of a classification, rows of one class only.
    """
    fitting(config, service.plan)  # what it refuses is refused before anything is computed
    check_segments(config.segments, service.plan, input_columns(service.plan, service.plan.inputs))
    rows = rows_of(service, config, split, histories=histories, threads=threads, on_progress=on_progress)
    trained = learn(service, config, split, rows)
    manifest = registered(service, config, split, trained, register=register, name=name, clock=clock)
    return TrainResult(manifest, trained.metrics, trained.onnx, trained.batch)


def learn(service: Service, config: TrainConfig, split: Split, rows: Rows, start: bytes | None = None) -> Trained:
    """A model of the training rows, its ONNX held against its library, and how it does on the test's.

    ``start`` is the ONNX of a version that training goes on from (`jobs.training.warm`).
    """
    fit = fitting(config, service.plan, start)
    x, frame, training, test = rows.x, rows.frame, rows.training, rows.test
    fitted = fit(x[training], frame["label"][training].to_numpy())
    golden = golden_rows(x[test])
    agreeing_scores(fitted, _with_nulls(golden), config.trainer)
    by_then, later = watched(rows, split)
    scores = agreeing_scores(fitted, x[later], config.trainer)
    found = scores[test[later]]
    batch = batch_rows(service.plan, rows.table.filter(pa.array(training | test)))
    metrics = measure(test_rows(frame, split, config), found, config) | counts(frame["label"], training, test, config.task)
    if batch:
        metrics["rows_without_batch_row"] = float(_without_batch_row(service.plan, rows.table)[training].sum())
    reference = reference_of(service.plan, rows, by_then, scores, later, config.segments)
    return Trained(fitted.onnx, rows.inputs, found, golden, metrics, batch, reference)


def registered(
    service: Service,
    config: TrainConfig,
    split: Split,
    trained: Trained,
    *,
    register: Register,
    name: str | None = None,
    more: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> Any:
    """Hand a model to ``register``, as ``name`` (by default the service's); gives its manifest. ``more`` joins its lineage."""
    return register(
        trained.onnx,
        name=name or service.name,
        inputs=trained.inputs,
        plan=service.plan,
        task=config.task,
        trained_from=split.first_day * DAY_MS,
        trained_until=(split.first_day + split.days) * DAY_MS,
        metrics=trained.metrics,
        lineage=lineage(config) | dict(more or {}),
        created_at=int(clock() * 1000),
        golden_rows=given_rows(trained.golden),
        reference=trained.reference,
    )


def fitting(config: TrainConfig, plan: Plan, start: bytes | None = None) -> Callable[[Floats, Labels], Fitted]:
    """What fits a model of ``config`` to rows of ``plan``, from ``start`` on, where there is one.

    Raises `SettingError` as `chosen` and `sequences_of` do.
    """
    fit, _ = chosen(config)
    if start is not None:
        fit = partial(fit, start=start)
    if not takes_sequences(config.trainer):
        return fit
    return partial(fit, sequences=sequences_of(plan, input_columns(plan, plan.inputs)))


def lineage(config: TrainConfig) -> dict[str, str]:
    """How a model of ``config`` is made: trainer, label, and all parameters. Raises `SettingError` as `chosen` does."""
    _, parameters = chosen(config)
    return {"trainer": config.trainer, "label": config.label, **{name: str(value) for name, value in parameters.items()}}


def counts(labelled: pd.Series[Any], training: Mask, test: Mask, task: Task) -> dict[str, float]:
    """How many rows were trained on and tested; of a classification, how many of them are labelled 1."""
    if task == "regression":
        return {"rows": float(training.sum()), "test_rows": float(test.sum())}
    return {
        "rows": float(training.sum()),
        "positives": float(labelled[training].sum()),
        "test_rows": float(test.sum()),
        "test_positives": float(labelled[test].sum()),
    }


def _without_batch_row(plan: Plan, table: pa.Table) -> Mask:
    """Which rows have no row to use of a batch view."""
    columns = [table[incomplete_column(view)].is_valid().to_numpy() for view in plan.batch]
    found: Mask = np.column_stack(columns).any(axis=1)
    return found


def golden_rows(x: Floats) -> Floats:
    """At most `GOLDEN_ROWS` of ``x``, from first to last."""
    places = np.unique(np.linspace(0, len(x) - 1, GOLDEN_ROWS).round().astype(int))
    golden: Floats = x[places]
    return golden


def given_rows(x: Floats) -> list[tuple[float | None, ...]]:
    """The rows of ``x`` as a registry is given them: NaN is None."""
    return [tuple(None if np.isnan(value) else value for value in row) for row in x.tolist()]


def _with_nulls(x: Floats) -> Floats:
    """The rows of ``x``, each with one input null, the next one each time; then a row of nulls."""
    holed = np.vstack([x, np.full((1, x.shape[1]), np.nan, np.float32)])
    rows = np.arange(len(x))
    holed[rows, rows % x.shape[1]] = np.nan
    return holed
