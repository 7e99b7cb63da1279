"""What is in an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, helper

from jobs.training.networks.sparse import load

LAYERS = ("MatMul", "Gemm", "Conv")
"""The operators whose second input are weights."""


def read(content: bytes) -> ModelProto:
    """The model of an ONNX file, with plain initializers for sparse ones."""
    model: ModelProto = load(content)
    return model


def operators(content: bytes) -> tuple[str, ...]:
    """The types of a graph's operators, each once."""
    return tuple(sorted({node.op_type for node in read(content).graph.node}))


def weighted(content: bytes) -> tuple[str, ...]:
    """The names of the float32 weights of `LAYERS`."""
    model = read(content)
    floats = {tensor.name for tensor in constants(model) if tensor.data_type == TensorProto.FLOAT}
    return tuple(dict.fromkeys(node.input[1] for node in layers(model) if node.input[1] in floats))


def attributes(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node, by name."""
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def layers(model: ModelProto) -> Iterator[NodeProto]:
    """The nodes that have weights, in the order of the graph."""
    return (node for node in model.graph.node if node.op_type in LAYERS and node.domain in ("", "ai.onnx"))


def constants(model: ModelProto) -> Iterator[TensorProto]:
    """The tensors that a graph holds: its initializers, and what its nodes Constant give, each under its name in the graph."""
    yield from model.graph.initializer
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    tensor = TensorProto()
                    tensor.CopyFrom(attribute.t)
                    tensor.name = node.output[0]
                    yield tensor
