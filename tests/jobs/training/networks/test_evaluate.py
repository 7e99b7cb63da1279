"""JAX computes a graph as ONNX Runtime does, operator by operator, and says which it does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from features.errors import HeadraceError, SettingError
from features.inputs.session import open_session
from jobs.training.networks.evaluate import OPERATORS, evaluation
from jobs.training.networks.graph import Graph, read_graph, trainable, with_constants
from jobs.training.networks.learn import check_agreement
from tests.support.networks import graph_of

pytestmark = pytest.mark.slow

WIDTH = 6


def model(nodes: list[Any], **constants: Any) -> bytes:
    """A graph of nodes from ``inputs``, [n, 6], to ``score``, [n, 1]."""
    return graph_of(nodes, constants, WIDTH)


def one(op: str, inputs: list[str], width: int = WIDTH, *, shape: list[int] | None = None, **attributes: Any) -> bytes:
    """A graph of one operator, whose columns are then added up."""
    random = np.random.default_rng(0)
    constants = {
        "a": random.normal(size=(1, WIDTH)).astype(np.float32),
        "w": random.normal(size=(WIDTH, 4)).astype(np.float32),
        "t": random.normal(size=(4, WIDTH)).astype(np.float32),
        "b": random.normal(size=4).astype(np.float32),
        "places": np.array([2, 0, 2]),
        "shape": np.array(shape or [0, -1]),
        "ones": np.ones((width, 1), np.float32),
    }
    nodes = [helper.make_node(op, inputs, ["x"], **attributes)]
    if op == "IsNaN":
        nodes = [helper.make_node(op, inputs, ["y"]), helper.make_node("Cast", ["y"], ["x"], to=TensorProto.FLOAT)]
    if op == "Where":
        nodes = [helper.make_node("IsNaN", ["inputs"], ["y"]), helper.make_node(op, ["y", "a", "inputs"], ["x"])]
    if op == "Transpose":
        nodes = [helper.make_node(op, inputs, ["y"], perm=[1, 0]), helper.make_node(op, ["y"], ["x"])]
    used = {name for node in nodes for name in node.input} | {"ones"}
    return model(
        [*nodes, helper.make_node("MatMul", ["x", "ones"], ["score"])],
        **{name: values for name, values in constants.items() if name in used},
    )


CASES = {
    "Add": one("Add", ["inputs", "a"]),
    "Cast": one("Cast", ["inputs"], to=TensorProto.FLOAT),
    "Concat": one("Concat", ["inputs", "inputs"], 2 * WIDTH, axis=1),
    "Div": one("Div", ["inputs", "a"]),
    "Flatten": one("Flatten", ["inputs"], axis=1),
    "Gather": one("Gather", ["inputs", "places"], 3, axis=1),
    "Gemm": one("Gemm", ["inputs", "w", "b"], 4, alpha=0.5, beta=2.0),
    "Gemm of transposed weights": one("Gemm", ["inputs", "t"], 4, transB=1),
    "Identity": one("Identity", ["inputs"]),
    "IsNaN": one("IsNaN", ["inputs"]),
    "MatMul": one("MatMul", ["inputs", "w"], 4),
    "Mul": one("Mul", ["inputs", "a"]),
    "Relu": one("Relu", ["inputs"]),
    "Reshape": one("Reshape", ["inputs", "shape"]),
    "Reshape to a size": one("Reshape", ["inputs", "shape"], shape=[-1, WIDTH]),
    "Sigmoid": one("Sigmoid", ["inputs"]),
    "Softmax": one("Softmax", ["inputs"], axis=1),
    "Sub": one("Sub", ["inputs", "a"]),
    "Tanh": one("Tanh", ["inputs"]),
    "Transpose": one("Transpose", ["inputs"]),
    "Where": one("Where", ["inputs"]),
}


def both(content: bytes, x: Any) -> tuple[Any, Any]:
    """What JAX and what ONNX Runtime give."""
    graph = read_graph(content)
    return np.asarray(evaluation(graph, graph.score)({}, x)), open_session(content).run(None, {"inputs": x})[0]


def test_every_operator_has_a_case() -> None:
    """Conv has one of its own."""
    assert {name.partition(" ")[0] for name in CASES} | {"Conv"} == set(OPERATORS)


@pytest.mark.parametrize("name", CASES)
def test_an_operator_gives_what_onnx_runtime_gives(name: str) -> None:
    """On rows with large and small values, and with nulls where the operator may meet them."""
    x = np.random.default_rng(1).normal(size=(7, WIDTH)).astype(np.float32) * 3
    if name in ("IsNaN", "Where"):
        x[1, 2] = x[3] = np.nan
    found, expected = both(CASES[name], x)
    assert np.abs(found - expected).max() < 1e-5


@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 2),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.booleans(),
)
@settings(max_examples=10, deadline=None)
def test_convolutions_are_onnx_runtimes(
    channels: int, filters: int, kernel: int, strides: int, dilations: int, pads: tuple[int, int], depthwise: bool
) -> None:
    """Padding at each end, strides, dilations and groups."""
    length = WIDTH // channels
    if (kernel - 1) * dilations + 1 > length + sum(pads):
        return
    random = np.random.default_rng(0)
    outputs, groups = (channels * 2, channels) if depthwise else (filters, 1)
    weights = random.normal(size=(outputs, channels // groups, kernel)).astype(np.float32)
    size = (length + sum(pads) - (kernel - 1) * dilations - 1) // strides + 1
    nodes = [
        helper.make_node("Reshape", ["inputs", "shape"], ["x0"]),
        helper.make_node(
            "Conv", ["x0", "w", "b"], ["x1"], pads=list(pads), strides=[strides], dilations=[dilations], group=groups
        ),
        helper.make_node("Flatten", ["x1"], ["x2"]),
        helper.make_node("MatMul", ["x2", "ones"], ["score"]),
    ]
    content = model(
        nodes,
        shape=np.array([-1, channels, length]),
        w=weights,
        b=random.normal(size=outputs).astype(np.float32),
        ones=random.normal(size=(outputs * size, 1)).astype(np.float32),
    )
    found, expected = both(content, random.normal(size=(5, WIDTH)).astype(np.float32))
    assert np.abs(found - expected).max() < 2e-5


def test_an_operator_that_is_not_known_is_named() -> None:
    """With what to do instead."""
    graph = read_graph(model([helper.make_node("ReduceMean", ["inputs"], ["score"], axes=[1], keepdims=1)]))
    with pytest.raises(SettingError, match=r"a network is computed of Add, .*; got ReduceMean; .*epochs=0"):
        evaluation(graph, graph.score)


def test_a_graph_that_jax_computes_otherwise_is_not_tuned() -> None:
    """Said with how far apart the scores are."""
    content = CASES["Gemm"]
    graph = read_graph(content)
    wrong = Graph(graph.nodes, {**graph.constants, "b": graph.constants["b"] + 1}, graph.input, graph.score, graph.place)
    with pytest.raises(HeadraceError, match=r"equal within 1e-05; got 8\.?\d* apart"):
        check_agreement(content, graph, evaluation(wrong, graph.score), np.ones((3, WIDTH), np.float32))


def test_weights_and_biases_are_trainable_and_other_constants_are_not() -> None:
    """The bias behind a MatMul is one; what is subtracted before it is none."""
    nodes = [
        helper.make_node("Sub", ["inputs", "mean"], ["x0"]),
        helper.make_node("MatMul", ["x0", "w"], ["x1"]),
        helper.make_node("Add", ["x1", "b"], ["x2"]),
        helper.make_node("Gemm", ["x2", "v"], ["x3"]),
        helper.make_node("Mul", ["x3", "factor"], ["score"]),
    ]
    random = np.random.default_rng(0)
    shapes = {"mean": WIDTH, "w": (WIDTH, 3), "b": 3, "v": (3, 1), "factor": 1}
    content = model(nodes, **{name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})
    assert trainable(read_graph(content)) == ("w", "b", "v")
    changed = with_constants(content, {"b": np.array([1, 2, 3])})
    assert read_graph(changed).constants["b"].tolist() == [1, 2, 3]
    assert read_graph(changed).constants["b"].dtype == np.float32
