"""Small networks, made by hand with weights that are drawn: what compression is tried on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

from features.inputs.matrix import Floats

INPUTS = 8


def inputs(rows: int, width: int = INPUTS, seed: int = 1) -> Floats:
    """Rows for a network."""
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def mlp(
    widths: Sequence[int] = (INPUTS, 32, 32, 1),
    *,
    gemm: bool = True,
    opset: int = 15,
    seed: int = 0,
    nulls: bool = False,
    zeros: float = 0.0,
) -> bytes:
    """Layers with Relu between, and a sigmoid: each a Gemm, or MatMul and Add.

    ``nulls``: NaN is taken for 0. ``zeros``: the share of the weights, by chance, that are 0.
    """
    generator = np.random.default_rng(seed)
    nodes: list[NodeProto] = []
    tensors: dict[str, np.ndarray] = {}
    value = "inputs"
    if nulls:
        tensors["zero"], value = np.zeros((), np.float32), "filled"
        nodes = [helper.make_node("IsNaN", ["inputs"], ["null"]), helper.make_node("Where", ["null", "zero", "inputs"], [value])]
    for layer, (into, out) in enumerate(pairwise(widths)):
        tensors[f"w{layer}"] = generator.normal(0, 1 / np.sqrt(into), (into, out)).astype(np.float32)
        if zeros:
            tensors[f"w{layer}"][generator.random((into, out)) < zeros] = 0
        tensors[f"b{layer}"] = generator.normal(0, 0.1, out).astype(np.float32)
        if gemm:
            nodes.append(helper.make_node("Gemm", [value, f"w{layer}", f"b{layer}"], [f"sum{layer}"]))
        else:
            nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], [f"product{layer}"]))
            nodes.append(helper.make_node("Add", [f"product{layer}", f"b{layer}"], [f"sum{layer}"]))
        value = f"relu{layer}"
        nodes.append(helper.make_node("Relu", [f"sum{layer}"], [value]))
    nodes[-1] = helper.make_node("Sigmoid", nodes[-1].input, ["score"])
    return graph_of(nodes, tensors, widths[0], opset)


def convolution(length: int = 12, channels: int = 16, *, seed: int = 0) -> bytes:
    """Inputs as one channel of ``length``, two convolutions of 3, their mean, one number."""
    generator = np.random.default_rng(seed)
    tensors = {
        "shape": np.array([0, 1, length], np.int64),
        "k0": generator.normal(0, 0.6, (channels, 1, 3)).astype(np.float32),
        "k1": generator.normal(0, 0.15, (channels, channels, 3)).astype(np.float32),
        "flat": np.array([0, channels * length], np.int64),
        "w": generator.normal(0, 0.1, (channels * length, 1)).astype(np.float32),
        "b": np.zeros(1, np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["inputs", "shape"], ["series"]),
        helper.make_node("Conv", ["series", "k0"], ["c0"], pads=[1, 1], kernel_shape=[3]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "k1"], ["c1"], pads=[1, 1], kernel_shape=[3]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Reshape", ["r1", "flat"], ["row"]),
        helper.make_node("Gemm", ["row", "w", "b"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["score"]),
    ]
    return graph_of(nodes, tensors, length)


def graph_of(nodes: Sequence[NodeProto], tensors: Mapping[str, np.ndarray], width: int, opset: int = 15) -> bytes:
    """A graph of nodes from ``inputs``, [n, width], to ``score``, [n, 1]."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
