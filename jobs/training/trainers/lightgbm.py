"""LightGBM's boosted trees."""

from __future__ import annotations

from typing import Any

import numpy as np
from lightgbm import Booster, LGBMClassifier, LGBMRegressor
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from features.inputs.matrix import Floats
from features.inputs.signature import Task
from jobs.training.fitted import INPUT, OPSET, Fitted, Labels

AGREEMENT = 1e-5
"""LightGBM adds doubles, ONNX Runtime float32 leaves."""
NO_START = "the registry has its trees as ONNX, which they cannot be restored from exactly"
"""ONNX lacks what the library goes on from: each node's sums of gradients, gain and count, and the thresholds as they were."""


def fit(
    x: Floats,
    labels: Labels,
    task: Task,
    *,
    trees: int = 100,
    depth: int = 6,
    leaves: int = 31,
    learning_rate: float = 0.1,
    seed: int = 0,
) -> Fitted:
    """Null inputs are NaN, which LightGBM takes as missing; of an input that was never null in training, as 0. So does ONNX."""
    options: dict[str, Any] = {
        "n_estimators": trees,
        "max_depth": depth,
        "num_leaves": leaves,
        "learning_rate": learning_rate,
        "random_state": seed,
        "deterministic": True,
        "force_row_wise": True,
        "n_jobs": 1,
        "verbose": -1,
    }
    model = (LGBMClassifier if task == "classification" else LGBMRegressor)(**options).fit(x, labels)
    booster = Booster(model_str=with_float32_thresholds(model.booster_.model_to_string()))
    # Named, for otherwise the name is random and so is the file's sha256.
    inputs = [(INPUT, FloatTensorType([None, x.shape[1]]))]
    onnx = convert_lightgbm(booster, name="model", initial_types=inputs, target_opset=OPSET, zipmap=False)
    for output in onnx.graph.output:  # onnxmltools 1.16 says that there is one label, of however many rows
        output.type.tensor_type.shape.dim[0].Clear()
    return Fitted(onnx.SerializeToString(), booster.predict, AGREEMENT)


def with_float32_thresholds(model: str) -> str:
    """A model's text with each threshold as the largest float32 that is not above it: of float32 inputs it is the same model.

    LightGBM's thresholds are doubles between two values of the training set. The converter rounds them to the nearest float32,
    which may be the upper of the two: where values are neighbouring float32s, most rows would take other branches.
    """
    lines = (
        line for line in model.split("\n") if not line.startswith("tree_sizes=")
    )  # in bytes, no longer so; need not be there
    return "\n".join(_thresholds(line) if line.startswith("threshold=") else line for line in lines)


def _thresholds(line: str) -> str:
    doubles = np.array(line.removeprefix("threshold=").split(), np.float64)
    nearest = doubles.astype(np.float32)
    below = np.where(nearest > doubles, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    return "threshold=" + " ".join(map(repr, below.astype(np.float64).tolist()))
