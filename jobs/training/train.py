"""A point-in-time training set, and from it a model: trained, converted to ONNX, checked, tested and registered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from xgboost import XGBClassifier

from features.errors import HeadraceError, SettingError
from features.inputs.arrow import table_matrix
from features.inputs.columns import input_columns
from features.inputs.matrix import Floats
from features.inputs.onnx import Onnx
from features.inputs.outputs import signature
from features.inputs.signature import tensors
from features.plan import Plan
from features.service import Service
from features.sql.duckdb.batch_views import incomplete_column
from features.times import DAY_MS
from jobs.history.batch_rows import BatchRows, batch_rows
from jobs.history.compute import Progress, compute
from jobs.training.config import TrainConfig
from jobs.training.labels import labels, outcomes
from jobs.training.metrics import measure
from jobs.training.split import Split, rows_to_test, rows_to_train

OPSET = 15
AGREEMENT = 1e-5
"""How far an ONNX score may be from XGBoost's: both add float32 leaves, not in the same order."""


class Register(Protocol):
    """`infra.models.registering` of a registry, or what does the same."""

    def __call__(
        self,
        onnx: bytes,
        *,
        name: str,
        service: str,
        inputs: tuple[str, ...],
        plan: Plan,
        task: str,
        trained_from: int,
        trained_until: int,
        metrics: Mapping[str, float],
        lineage: Mapping[str, str],
        created_at: int,
        golden_rows: Sequence[Sequence[Any]],
    ) -> Any:
        """Store the model as the next version of ``name``; gives its manifest."""


class TrainResult(msgspec.Struct, frozen=True):
    """A registered model, and how it did on the days after those that it was trained on."""

    manifest: Any
    metrics: dict[str, float]
    onnx: bytes
    batch: tuple[BatchRows, ...]
    """What the rows of training and test had of batch views."""


def train(
    service: Service,
    config: TrainConfig,
    split: Split,
    *,
    register: Register,
    name: str | None = None,
    histories: Mapping[str, Path] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> TrainResult:
    """Train a model for ``service``, test it and register it as ``name`` (by default the service's).

    Raises `SettingError` where the days have no rows, or rows of one class only.
    """
    plan = service.plan
    known = labels(service, config.label, histories)
    start_ms = split.first_day * DAY_MS
    table = compute(
        service,
        start_ms=start_ms,
        end_ms=split.end_day * DAY_MS,
        histories=histories,
        threads=threads,
        on_progress=on_progress,
    )
    frame = outcomes(plan, table, known, config.group)
    inputs = input_columns(plan, plan.inputs)
    x = table_matrix(table, plan, inputs)
    training, test = rows_to_train(frame, split), rows_to_test(frame, split, config)
    _check_classes(frame["label"], training, f"training from {split.train_from} for {split.days} days")
    _check_classes(frame["label"], test, f"test of {split.test_days} days, {split.days + split.delay_days} days later")
    classifier = _fit(x[training], frame["label"][training].to_numpy(np.int64), config)
    onnx = to_onnx(classifier, len(inputs))
    session = ort.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    taken = tensors(session, plan, inputs)
    fed = {taken[0].name: x[test]}
    found = np.array(Onnx(session, signature(session, taken, fed)).run(fed).scores, np.float32)
    _check_agreement(found, classifier.predict_proba(x[test])[:, 1])
    counts = {
        "rows": float(training.sum()),
        "positives": float(frame["label"][training].sum()),
        "test_rows": float(test.sum()),
        "test_positives": float(frame["label"][test].sum()),
    }
    batch = batch_rows(plan, table.filter(pa.array(training | test)))
    if batch:
        counts["rows_without_batch_row"] = float(_without_batch_row(plan, table)[training].sum())
    metrics = measure(frame[test], found, config) | counts
    manifest = register(
        onnx,
        name=name or service.name,
        service=service.name,
        inputs=inputs,
        plan=plan,
        task="classification",
        trained_from=start_ms,
        trained_until=start_ms + split.days * DAY_MS,
        metrics=metrics,
        lineage={"trainer": "xgboost"},
        created_at=int(clock() * 1000),
        golden_rows=x[test].tolist(),
    )
    return TrainResult(manifest, metrics, onnx, batch)


def _check_classes(labelled: pd.Series[Any], rows: pd.Series[bool], what: str) -> None:
    if labelled[rows].nunique() < 2:
        raise SettingError(
            f"a model needs rows labelled 0 and rows labelled 1; got {int(rows.sum())} rows, {int(labelled[rows].sum())} of them "
            f"labelled 1, in the {what}; take other days"
        )


def _without_batch_row(plan: Plan, table: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows have no row to use of a batch view."""
    columns = [table[incomplete_column(view)].is_valid().to_numpy() for view in plan.batch]
    found: np.ndarray[Any, np.dtype[np.bool_]] = np.column_stack(columns).any(axis=1)
    return found


def _fit(x: Floats, labels: np.ndarray[Any, np.dtype[np.int64]], config: TrainConfig) -> XGBClassifier:
    """Null inputs are NaN, which XGBoost takes as missing."""
    classifier = XGBClassifier(
        n_estimators=config.trees,
        max_depth=config.depth,
        learning_rate=config.learning_rate,
        random_state=config.seed,
        tree_method="exact",
        base_score=0.5,
        n_jobs=1,
    )
    return classifier.fit(x, labels)


def to_onnx(classifier: XGBClassifier, inputs: int) -> bytes:
    """The classifier as ONNX: one input ``inputs`` of [n, inputs]; NaN takes the branch that XGBoost takes for missing."""
    # Named, for otherwise the name is random and so is the file's sha256.
    model = convert_xgboost(
        classifier, name="classifier", initial_types=[("inputs", FloatTensorType([None, inputs]))], target_opset=OPSET
    )
    onnx: bytes = model.SerializeToString()
    return onnx


def _check_agreement(scores: Floats, expected: Floats) -> None:
    apart = float(np.abs(scores - expected).max(initial=0))
    if not apart <= AGREEMENT:
        raise HeadraceError(f"ONNX scores equal XGBoost's within {AGREEMENT}; got {apart}; the converter has a fault: report it")
