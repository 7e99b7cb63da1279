"""ONNX models that load and warm up, and do harm on real events: they throw, they are slow, they give no number.

Each has XGBoost's two outputs, and scores rows of zeros, of which its golden batch is.
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
from serving.models.admit import Given, admit
from serving.models.manifest import Draft, Manifest, read_golden
from serving.models.registry import Registry
from tests.support.models import register, stumps

SPOILED = b"no ONNX"
ROWS = 4
"""Of zeros, in its golden batch."""
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


def register_odd(folder: Path, plan: Plan, onnx: bytes, inputs: tuple[str, ...] | None = None) -> Manifest:
    """Register one of these: it is tried on rows of zeros alone, and so passes every check."""
    zeros = [[0.0] * len(inputs or plan.inputs)] * ROWS
    draft = admit(onnx, plan, name=plan.service, created_at=2, inputs=inputs, give=lambda columns: Given(zeros))
    return Registry(folder).register(draft)


def register_spoiled(folder: Path, plan: Plan) -> Manifest:
    """Register what no check lets in, bytes that are no ONNX: all else is of a version that was registered before it."""
    like = Registry(folder).get(plan.service, register(folder, plan, stumps([0.1] * len(plan.inputs)), alias=None).version)
    manifest = msgspec.structs.replace(like.manifest, version=0, sha256=hashlib.sha256(SPOILED).hexdigest())
    return Registry(folder).register(Draft(manifest, SPOILED, read_golden(like)))


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
