"""ONNX models that load and warm up, and do harm on real events: they throw, they are slow, they give no number.

Each has XGBoost's two outputs, and scores a row of zeros, which is what a warm-up takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from features.plan import Plan
from serving.models.manifest import Draft, Manifest
from serving.models.registry import Registry
from tests.support.models import register, stumps

GOLDEN_BATCH = b""
"""What an odd model answers as expected."""
LARGE = 10**9
SIDE = 256
"""Of the square matrices that the slow one multiplies."""


def throwing(inputs: int) -> bytes:
    """Gathers behind the end of a tensor, unless all inputs are 0."""
    nodes = [
        *_size_of_inputs(),
        helper.make_node("Mul", ["size", "large"], ["far"]),
        helper.make_node("Cast", ["far"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["one_value", "index"], ["nothing"], axis=0),
    ]
    return _model(inputs, nodes, "nothing", large=np.float32(LARGE), one_value=np.zeros(1, np.float32))


def nan(inputs: int) -> bytes:
    """The square root of a number below 0, unless all inputs are 0."""
    nodes = [
        *_size_of_inputs(),
        helper.make_node("Neg", ["size"], ["below"]),
        helper.make_node("Sqrt", ["below"], ["nothing"]),
    ]
    return _model(inputs, nodes, "nothing")


def slow(inputs: int, products: int) -> bytes:
    """Multiplies large matrices one after the other, whatever the number of rows, unless all inputs are 0."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "square"], ["product"]),
            helper.make_node("Identity", ["going"], ["going_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [SIDE, SIDE]),
        ],
        [
            helper.make_tensor_value_info("going_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("product", TensorProto.FLOAT, [SIDE, SIDE]),
        ],
    )
    nodes = [
        *_size_of_inputs(),
        helper.make_node("Sign", ["size"], ["sign"]),
        helper.make_node("Mul", ["sign", "products"], ["wanted"]),
        helper.make_node("Cast", ["wanted"], ["count"], to=TensorProto.INT64),
        helper.make_node("Loop", ["count", "", "square"], ["last"], body=body),
        helper.make_node("ReduceMax", ["last"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "zero"], ["nothing"]),
    ]
    square = np.full((SIDE, SIDE), 1 / SIDE, np.float32)
    return _model(inputs, nodes, "nothing", square=square, products=np.float32(products), zero=np.float32(0))


def smuggle(folder: Path, plan: Plan, onnx: bytes, inputs: tuple[str, ...] | None = None) -> Manifest:
    """Register what no gate lets in: all but the bytes are of a version that was registered before it."""
    like = register(folder, plan, stumps([0.1] * len(inputs or plan.inputs)), inputs=inputs, alias=None)
    manifest = msgspec.structs.replace(like, version=0, sha256=hashlib.sha256(onnx).hexdigest())
    return Registry(folder).register(Draft(manifest, onnx, GOLDEN_BATCH))


def _size_of_inputs() -> list[NodeProto]:
    return [helper.make_node("Abs", ["x"], ["positive"]), helper.make_node("ReduceMax", ["positive"], ["size"], keepdims=0)]


def _model(inputs: int, nodes: Sequence[NodeProto], added: str, **constants: Any) -> bytes:
    """Scores of 0.5, to which the scalar ``added`` is added."""
    ends = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["first"]),
        helper.make_node("Mul", ["first", "none"], ["zeros"]),
        helper.make_node("Add", ["zeros", "half"], ["halves"]),
        helper.make_node("Add", ["halves", added], ["score"]),
        helper.make_node("Concat", ["halves", "score"], ["probabilities"], axis=1),
        helper.make_node("Cast", ["zeros"], ["classes"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["classes", "axis"], ["label"]),
    ]
    fixed = {"none": np.float32(0), "half": np.float32(0.5), "from": [0], "to": [1], "axis": [1], **constants}
    graph: GraphProto = helper.make_graph(
        [*nodes, *ends],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, inputs])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in fixed.items()],
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    encoded: bytes = model.SerializeToString()
    return encoded
