"""XGBoost's boosted trees."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from xgboost import XGBClassifier, XGBRegressor

from features.inputs.matrix import Floats
from features.inputs.signature import Task
from jobs.training.fitted import INPUT, OPSET, Fitted, Labels

AGREEMENT = 1e-5
"""Both add float32 leaves, not in the same order."""
NO_START = "the registry has its trees as ONNX, which they cannot be restored from exactly"
"""ONNX lacks what the library goes on from: each node's sums of gradients, gain and count."""


def fit(
    x: Floats,
    labels: Labels,
    task: Task,
    *,
    trees: int = 100,
    depth: int = 6,
    learning_rate: float = 0.3,
    seed: int = 0,
) -> Fitted:
    """Null inputs are NaN, which XGBoost takes as missing; in ONNX, NaN takes the branch that XGBoost takes for missing."""
    options: dict[str, Any] = {
        "n_estimators": trees,
        "max_depth": depth,
        "learning_rate": learning_rate,
        "random_state": seed,
        "tree_method": "exact",
        "n_jobs": 1,
    }
    if task == "classification":
        model = XGBClassifier(base_score=0.5, **options).fit(x, labels.astype(np.int64))
    else:
        model = XGBRegressor(base_score=float(labels.mean()), **options).fit(x, labels)
    # Named, for otherwise the name is random and so is the file's sha256.
    onnx = convert_xgboost(model, name="model", initial_types=[(INPUT, FloatTensorType([None, x.shape[1]]))], target_opset=OPSET)
    if task == "classification":
        _without_base(onnx)
    predict = model.predict if task == "regression" else lambda rows: model.predict_proba(rows)[:, 1]
    return Fitted(onnx.SerializeToString(), predict, AGREEMENT)


def _without_base(onnx: Any) -> None:
    """The base of a classification is a chance of 1/2, log odds of 0, which the graph needs not say.

    Where the first tree is one leaf of 0, onnxmltools 1.16 adds the chance itself to the log odds.
    """
    for node in onnx.graph.node:
        for base in [attribute for attribute in node.attribute if attribute.name == "base_values"]:
            node.attribute.remove(base)
