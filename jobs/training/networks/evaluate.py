"""An ONNX graph computed by JAX: of the operators that networks are made of, with their meaning in ONNX's specification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from features.errors import SettingError
from jobs.training.networks.graph import Graph, Node

Evaluation = Callable[[Mapping[str, Any], Any], Any]
"""Values of constants by name, which replace the graph's own, and rows [n, inputs] → a value of the graph."""

TYPES = {1: "float32", 6: "int32", 7: "int32", 9: "bool", 11: "float32"}
"""ONNX's numbers of types as JAX's, which has doubles as floats."""


def evaluation(graph: Graph, value: str) -> Evaluation:
    """What computes ``value``. Raises `SettingError` for operators that are not among `OPERATORS`."""
    unknown = sorted({f"{node.domain}.{node.op}".strip(".") for node in graph.nodes if node.op not in OPERATORS or node.domain})
    if unknown:
        raise SettingError(
            f"a network is computed of {', '.join(OPERATORS)}; got {', '.join(unknown)}; train it with one of the trainers mlp "
            "and cnn, or leave fine-tuning out with epochs=0"
        )

    def evaluate(weights: Mapping[str, Any], x: Any) -> Any:
        values: dict[str, Any] = {**graph.constants, **weights, graph.input: x}
        for node in graph.nodes:
            given = [values[name] if name else None for name in node.inputs]
            values[node.outputs[0]] = OPERATORS[node.op](node, *given)
        return values[value]

    return evaluate


def _gemm(node: Node, a: Any, b: Any, c: Any = None) -> Any:
    left, right = (a.T if node.attributes.get("transA") else a), (b.T if node.attributes.get("transB") else b)
    product = node.attributes.get("alpha", 1.0) * (left @ right)
    return product if c is None else product + node.attributes.get("beta", 1.0) * c


def _conv(node: Node, x: Any, weights: Any, bias: Any = None) -> Any:
    spatial = weights.ndim - 2
    given = node.attributes
    if given.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise SettingError("a Conv has pads; got auto_pad; export the model with explicit padding")
    pads = given.get("pads", [0] * 2 * spatial)
    padding = list(zip(pads[:spatial], pads[spatial:], strict=True))
    strides, dilations = given.get("strides", [1] * spatial), given.get("dilations", [1] * spatial)
    groups = given.get("group", 1)
    if groups == 1:
        found = jax.lax.conv_general_dilated(x, jnp.asarray(weights), strides, padding, rhs_dilation=dilations)
    else:
        found = _grouped(jnp.pad(x, [(0, 0), (0, 0), *padding]), weights, strides, dilations, groups)
    return found if bias is None else found + bias.reshape(1, -1, *[1] * spatial)


def _grouped(x: Any, weights: Any, strides: Sequence[int], dilations: Sequence[int], groups: int) -> Any:
    """A Conv whose filters see their group's channels alone, tap by tap: JAX 0.10's own takes 8 times as long on a CPU."""
    kernel = weights.shape[2:]
    sizes = [
        (size - (length - 1) * dilation - 1) // stride + 1
        for size, length, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True)
    ]
    found: Any = 0
    for taps in np.ndindex(*kernel):
        places = tuple(
            slice(tap * dilation, tap * dilation + (size - 1) * stride + 1, stride)
            for tap, size, stride, dilation in zip(taps, sizes, strides, dilations, strict=True)
        )
        seen = x[(slice(None), slice(None), *places)].reshape(x.shape[0], groups, -1, *sizes)
        of_tap = weights[(slice(None), slice(None), *taps)].reshape(groups, -1, weights.shape[1])
        found += jnp.einsum("ngc...,gfc->ngf...", seen, of_tap)
    return found.reshape(x.shape[0], -1, *sizes)


def _flatten(node: Node, x: Any) -> Any:
    axis = node.attributes.get("axis", 1)
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


def _reshape(node: Node, x: Any, shape: Any) -> Any:
    if not isinstance(shape, np.ndarray):
        raise SettingError("a Reshape has a constant shape; got one that is computed; export the model with a fixed shape")
    sizes = [int(size) for size in shape]
    if not node.attributes.get("allowzero"):
        sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
    return x.reshape(sizes)


def _cast(node: Node, x: Any) -> Any:
    kind = TYPES.get(node.attributes["to"])
    if kind is None:
        raise SettingError(
            f"a Cast is to {', '.join(sorted(set(TYPES.values())))}; got ONNX's type {node.attributes['to']}; leave it out"
        )
    return x.astype(kind)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": lambda _, a, b: a + b,
    "Cast": _cast,
    "Concat": lambda node, *parts: jnp.concatenate(parts, axis=node.attributes["axis"]),
    "Conv": _conv,
    "Div": lambda _, a, b: a / b,
    "Flatten": _flatten,
    "Gather": lambda node, x, places: jnp.take(x, places, axis=node.attributes.get("axis", 0)),
    "Gemm": _gemm,
    "Identity": lambda _, x: x,
    "IsNaN": lambda _, x: jnp.isnan(x),
    "MatMul": lambda _, a, b: jnp.matmul(a, b),
    "Mul": lambda _, a, b: a * b,
    "Relu": lambda _, x: jnp.maximum(x, 0),
    "Reshape": _reshape,
    "Sigmoid": lambda _, x: jax.nn.sigmoid(x),
    "Softmax": lambda node, x: jax.nn.softmax(x, axis=node.attributes.get("axis", -1)),
    "Sub": lambda _, a, b: a - b,
    "Tanh": lambda _, x: jnp.tanh(x),
    "Transpose": lambda node, x: jnp.transpose(x, node.attributes.get("perm")),
    "Where": lambda _, condition, a, b: jnp.where(condition, a, b),
}
"""By their names; each takes its node and its inputs."""
