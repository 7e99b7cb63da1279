"""A model's session: checked against the manifest, and scores of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from features.errors import SettingError
from features.inputs.output import scores
from serving.models.registry import Registry
from serving.models.session import load_session
from tests.serving.models.test_registry import register

pytestmark = pytest.mark.core


def logistic(width: int) -> bytes:
    """A model whose score is the logistic of its inputs' sum."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0),
        helper.make_node("Sigmoid", ["total"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "logistic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized


def test_a_session_scores_rows(tmp_path: Path) -> None:
    """[n, inputs] in, [n] out."""
    registry = Registry(tmp_path)
    register(registry, logistic(2))
    session = load_session(registry.get("fraud", 1))
    assert scores(session, np.array([[0, 0], [50, 50]], np.float32)).tolist() == [0.5, 1.0]


def test_a_model_of_another_width_is_refused(tmp_path: Path) -> None:
    """A model that does not take its manifest's inputs never serves."""
    registry = Registry(tmp_path)
    register(registry, logistic(3))
    with pytest.raises(SettingError, match="one \\[n, 2\\] input"):
        load_session(registry.get("fraud", 1))
