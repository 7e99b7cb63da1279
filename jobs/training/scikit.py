"""Models of scikit-learn that have no missing values: what stands before them, and the whole as ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.sklapi import CastTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from features.inputs.matrix import Floats
from features.inputs.signature import Task
from jobs.training.fitted import INPUT, OPSET, Fitted, Labels


def fit_pipeline(x: Floats, labels: Labels, task: Task, model: Any, *, scaled: bool, agreement: float) -> Fitted:
    """``model`` fitted to what `before` makes of ``x``, and both as one ONNX graph."""
    pipeline: Pipeline = make_pipeline(*before(scaled), model).fit(
        x, labels.astype(np.int64 if task == "classification" else float)
    )
    options = {"zipmap": False} if task == "classification" else None
    onnx = convert_sklearn(
        pipeline,
        name="model",  # otherwise random, and so is the file's sha256
        initial_types=[(INPUT, FloatTensorType([None, x.shape[1]]))],
        target_opset={"": OPSET, "ai.onnx.ml": 3},
        options=options,
    )
    predict = pipeline.predict if task == "regression" else lambda rows: pipeline.predict_proba(rows)[:, 1]
    return Fitted(onnx.SerializeToString(), predict, agreement)


def before(scaled: bool) -> list[Any]:
    """The steps before a model: an input that is null has the median of training, and a second column says that it was null.

    ``scaled``: then as doubles of mean 0 and deviation 1; in doubles, a sum of products is the same float32 in any order.
    """
    values = SimpleImputer(strategy="median", keep_empty_features=True)
    union = make_union(values, MissingIndicator(features="all"))
    return [union, CastTransformer(dtype=np.float64), StandardScaler()] if scaled else [union]


def _shape(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, operator.inputs[0].type.shape[1]])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    missing = scope.get_unique_variable_name("missing")
    container.add_node("IsNaN", operator.input_full_names, missing, name=scope.get_unique_operator_name("IsNaN"), op_version=13)
    container.add_node(
        "Cast",
        missing,
        operator.output_full_names,
        to=TensorProto.FLOAT,
        name=scope.get_unique_operator_name("Cast"),
        op_version=13,
    )


update_registered_converter(MissingIndicator, "MissingIndicator", _shape, _convert)  # skl2onnx 1.20 has none
