"""An ONNX graph as nodes and arrays: what its evaluation and its training read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from features.errors import SettingError
from features.inputs.session import open_session
from jobs.training.fitted import matrix_signature
from jobs.training.networks.sparse import load

Array = npt.NDArray[Any]
DENSE = ("Gemm", "MatMul")


class Node(msgspec.Struct, frozen=True):
    """One operator."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    domain: str = ""


class Graph(msgspec.Struct, frozen=True):
    """What leads from the rows to the score; what serves other outputs alone is left out."""

    nodes: tuple[Node, ...]
    """In an order in which they can be computed."""
    constants: Mapping[str, Array]
    """The initializers, and what nodes ``Constant`` give."""
    input: str
    score: str
    """The output that holds the score."""
    place: int
    """The score's column in it."""

    @property
    def producers(self) -> dict[str, Node]:
        """The node that gives each value."""
        return {name: node for node in self.nodes for name in node.outputs}


def read_graph(content: bytes) -> Graph:
    """The graph of a model with one float32 input [n, inputs].

    Raises `SettingError` for a model with other inputs, or of which no one number is the score.
    """
    model = load(content)
    (name, width), graph = matrix_input(model), model.graph
    score, place = matrix_signature(open_session(content), width).score
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    nodes: list[Node] = []
    for proto in graph.node:
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in proto.attribute}
        if proto.op_type == "Constant" and "value" in attributes:
            constants[proto.output[0]] = numpy_helper.to_array(attributes["value"])
            continue
        nodes.append(Node(proto.op_type, tuple(proto.input), tuple(proto.output), attributes, proto.domain))
    return Graph(_leading_to(score, nodes), constants, name, score, place)


def matrix_input(model: Any) -> tuple[str, int]:
    """The name and the width of a model's one input. Raises `SettingError` where it has others."""
    initializers = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in initializers]
    tensor = inputs[0].type.tensor_type
    if len(inputs) != 1 or tensor.elem_type != onnx.TensorProto.FLOAT or len(tensor.shape.dim) != 2:
        came = ", ".join(one.name for one in inputs)
        raise SettingError(
            f"this works on a model with one float32 input [n, inputs]; got {came}; convert the model with such an input"
        )
    return inputs[0].name, tensor.shape.dim[1].dim_value


def trainable(graph: Graph) -> tuple[str, ...]:
    """The constants that training changes: weights and biases of Gemm, MatMul and Conv, in the order of the nodes."""
    producers, found = graph.producers, dict[str, None]()
    for node in graph.nodes:
        if node.op in DENSE or node.op == "Conv":
            found |= dict.fromkeys(name for name in node.inputs if name in graph.constants)
        if node.op == "Add":  # the bias of a MatMul
            given = [producers[name].op for name in node.inputs if name in producers]
            if given == ["MatMul"]:
                found |= dict.fromkeys(name for name in node.inputs if name in graph.constants)
    return tuple(found)


def with_constants(content: bytes, changed: Mapping[str, Array]) -> bytes:
    """The model with other values of these initializers or constants, each of the type that it had."""
    model = load(content)
    for one in model.graph.initializer:
        if one.name in changed:
            one.CopyFrom(_tensor(changed[one.name], one))
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output[0] in changed:
            (value,) = (attribute for attribute in node.attribute if attribute.name == "value")
            value.t.CopyFrom(_tensor(changed[node.output[0]], value.t))
    written: bytes = model.SerializeToString()
    return written


def _tensor(values: Array, before: Any) -> Any:
    kind = onnx.helper.tensor_dtype_to_np_dtype(before.data_type)
    return numpy_helper.from_array(np.asarray(values).astype(kind), before.name)


def _leading_to(output: str, nodes: list[Node]) -> tuple[Node, ...]:
    needed, kept = {output}, list[Node]()
    for node in reversed(nodes):
        if needed & set(node.outputs):
            needed |= set(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))
