"""A point-in-time training set, and from it a model: trained, converted to ONNX, checked and registered.

The protocol is the Fraud Detection Handbook's (chapter 3, "Baseline fraud detection system"): train on some days, leave out
those whose frauds are not yet known, test on the days after, without the cards whose fraud was known by then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import onnxruntime as ort
import pandas as pd
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from pydantic import Field
from xgboost import XGBClassifier

from features.errors import HeadraceError, SettingError
from features.inputs.arrow import table_matrix
from features.inputs.columns import input_columns
from features.inputs.matrix import Floats
from features.inputs.output import scores
from features.plan import DAY_MS
from features.service import Service
from jobs.history.compute import Progress, compute
from jobs.training.experiment import Labels, labels, metrics, outcomes, rows_to_test, rows_to_train
from jobs.training.split import Split

OPSET = 15
AGREEMENT = 1e-5
"""How far an ONNX score may be from XGBoost's: both add float32 leaves, not in the same order."""


class TrainConfig(Labels):
    """What a service's model learns, and how."""

    trees: int = Field(default=100, ge=1)
    depth: int = Field(default=6, ge=1)
    learning_rate: float = Field(default=0.3, gt=0)
    seed: int = 0


class Register(Protocol):
    """`serving.models.registry.Registry.register`, or what does the same."""

    def __call__(
        self,
        onnx: bytes,
        *,
        name: str,
        service: str,
        inputs: tuple[str, ...],
        plan: str,
        trained_from: int,
        trained_until: int,
        metrics: Mapping[str, float],
        created_at: int,
    ) -> Any:
        """Store the model as the next version of ``name``; gives its manifest."""


class TrainResult(msgspec.Struct, frozen=True):
    """A registered model, and how it did on the days after those that it was trained on."""

    manifest: Any
    metrics: dict[str, float]
    onnx: bytes


def train(
    service: Service,
    config: TrainConfig,
    *,
    train_from: date,
    days: int = 7,
    delay_days: int = 7,
    test_days: int = 7,
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
    split = Split(train_from, days, delay_days, test_days)
    start_ms, end_ms = split.first_day * DAY_MS, (split.first_test_day + test_days) * DAY_MS
    table = compute(
        service,
        start_ms=start_ms,
        end_ms=end_ms,
        histories=histories,
        threads=threads,
        on_progress=on_progress,
    )
    frame = outcomes(plan, config, table, labels(service, config, histories))
    inputs = input_columns(plan, plan.inputs)
    x = table_matrix(table, plan, inputs)
    training, test = rows_to_train(frame, split), rows_to_test(frame, split)
    _check_classes(frame["label"], training, f"training from {train_from} for {days} days")
    _check_classes(frame["label"], test, f"test of {test_days} days, {days + delay_days} days later")
    labelled = frame["label"].to_numpy(np.int64)
    classifier = _fit(x[training], labelled[training], config)
    onnx = to_onnx(classifier, len(inputs))
    found = scores(ort.InferenceSession(onnx, providers=["CPUExecutionProvider"]), x[test])
    _check_agreement(found, classifier.predict_proba(x[test])[:, 1])
    counts = {
        "rows": float(training.sum()),
        "frauds": float(labelled[training].sum()),
        "test_rows": float(test.sum()),
        "test_frauds": float(labelled[test].sum()),
    }
    measured = metrics(frame[test], found, config) | counts
    manifest = register(
        onnx,
        name=name or service.name,
        service=service.name,
        inputs=inputs,
        plan=plan.digest,
        trained_from=start_ms,
        trained_until=start_ms + days * DAY_MS,
        metrics=measured,
        created_at=int(clock() * 1000),
    )
    return TrainResult(manifest, measured, onnx)


def _check_classes(labelled: pd.Series[Any], rows: pd.Series[bool], what: str) -> None:
    if labelled[rows].nunique() < 2:
        raise SettingError(
            f"a model needs rows labelled 0 and rows labelled 1; got {int(rows.sum())} rows, {int(labelled[rows].sum())} of them "
            f"labelled 1, in the {what}; take other days"
        )


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
