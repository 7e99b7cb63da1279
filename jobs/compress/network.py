"""The layers of an ONNX graph that compression changes: which arrays are their weights, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, count
from typing import Any, Literal

import msgspec
import numpy.typing as npt
from onnx import checker, numpy_helper, shape_inference

from features.errors import HeadraceError
from jobs.compress.candidate import RefusedError
from jobs.compress.graph import attributes, read

Array = npt.NDArray[Any]
Kind = Literal["dense", "conv"]
CONSTANTS_ARE_NO_INPUTS = 4
"""The first version of the file's format of which this holds."""


class Layer(msgspec.Struct, frozen=True):
    """A Gemm, a MatMul by constants, or a Conv. The bias of a MatMul is an Add behind it, and no part of this."""

    node: str
    """The name of its output, which no other node has."""
    kind: Kind
    weights: str
    """dense: [in, out], or [out, in] where ``transposed``; conv: [out, in / groups, *kernel]."""
    bias: str | None
    transposed: bool
    groups: int
    positions: int
    """How often a row goes through the weights: the positions of a Conv's output, the rows of a MatMul's."""


class Network:
    """A model whose graph is changed; `content` is what it is afterwards."""

    def __init__(self, content: bytes) -> None:
        self.model = read(content)
        self.constants: dict[str, Array] = {one.name: numpy_helper.to_array(one) for one in self.model.graph.initializer}
        self._without_default_inputs()
        for node in [node for node in self.model.graph.node if node.op_type == "Constant"]:
            value = next((one.t for one in node.attribute if one.name == "value"), None)
            if value is not None:
                self.constants[node.output[0]] = numpy_helper.to_array(value)
                self.model.graph.node.remove(node)

    @property
    def content(self) -> bytes:
        """The model as bytes, with the constants that are in use. Raises `HeadraceError` where it is no valid ONNX."""
        graph = self.model.graph
        used = {name for node in graph.node for name in node.input} | {one.name for one in graph.output}
        del graph.initializer[:], graph.value_info[:]
        graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in self.constants.items() if name in used)
        try:
            checker.check_model(self.model)
            shape_inference.infer_shapes(self.model, check_type=True, strict_mode=True)
        except (checker.ValidationError, shape_inference.InferenceError) as error:
            raise HeadraceError(
                f"a compressed model is valid ONNX; got {' '.join(str(error).split())[:300]}; report it"
            ) from None
        written: bytes = self.model.SerializeToString()
        return written

    def node(self, output: str) -> Any:
        """The node that gives this value."""
        return next(node for node in self.model.graph.node if output in node.output)

    def readers(self, value: str) -> list[Any]:
        """The nodes that take this value."""
        return [node for node in self.model.graph.node if value in node.input]

    def fresh(self, name: str) -> str:
        """``name``, or where a value or a constant has it already, ``name`` and a number."""
        taken = {one for node in self.model.graph.node for one in (*node.input, *node.output)} | set(self.constants)
        return next(one for one in chain([name], (f"{name}_{number}" for number in count(2))) if one not in taken)

    def is_output(self, value: str) -> bool:
        """Whether the model gives this value."""
        return any(one.name == value for one in self.model.graph.output)

    def replace(self, output: str, nodes: Sequence[Any]) -> None:
        """Put ``nodes``, the last of which gives ``output``, where the node is that gives it."""
        place = next(place for place, node in enumerate(self.model.graph.node) if output in node.output)
        del self.model.graph.node[place]
        for further, node in enumerate(nodes):
            self.model.graph.node.insert(place + further, node)

    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """The shapes of all values that ONNX infers; None for a size that it does not, such as that of the rows."""
        graph = self.model.graph
        del graph.initializer[:], graph.value_info[:]
        graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in self.constants.items())
        inferred = shape_inference.infer_shapes(self.model, data_prop=True).graph
        return {
            one.name: tuple(size.dim_value if size.HasField("dim_value") else None for size in one.type.tensor_type.shape.dim)
            for one in (*inferred.value_info, *inferred.input, *inferred.output)
        }

    def layers(self) -> tuple[Layer, ...]:
        """Its layers, in the order of the graph."""
        return tuple(self._layers())

    def _without_default_inputs(self) -> None:
        """Constants are inputs no more, as they are in ONNX before its version 4: as inputs their shapes are declared."""
        inputs = self.model.graph.input
        for one in [one for one in inputs if one.name in self.constants]:
            inputs.remove(one)
            self.model.ir_version = max(self.model.ir_version, CONSTANTS_ARE_NO_INPUTS)

    def _layers(self) -> Iterator[Layer]:
        shapes = self.shapes()
        for node in self.model.graph.node:
            if node.domain or node.op_type not in ("Gemm", "MatMul", "Conv") or node.input[1] not in self.constants:
                continue
            given, output = attributes(node), node.output[0]
            bias = node.input[2] if len(node.input) > 2 and node.input[2] in self.constants else None
            if node.op_type == "Conv":
                sizes = shapes.get(output, ())[2:]
                yield Layer(output, "conv", node.input[1], bias, False, given.get("group", 1), _product(sizes, output))
                continue
            if not given.get("transA") and self.constants[node.input[1]].ndim == 2:
                sizes = shapes.get(output, ())[1:-1]
                yield Layer(output, "dense", node.input[1], bias, bool(given.get("transB")), 1, _product(sizes, output))

    def of_integers(self) -> tuple[Layer, ...]:
        """The layers that are quantized dynamically: MatMulInteger and ConvInteger."""
        shapes, kinds = self.shapes(), dict[str, Kind](MatMulInteger="dense", ConvInteger="conv")
        return tuple(
            Layer(
                node.output[0],
                kinds[node.op_type],
                node.input[1],
                None,
                False,
                attributes(node).get("group", 1),
                _product(
                    shapes[node.output[0]][2:] if node.op_type == "ConvInteger" else shapes[node.output[0]][1:-1], node.name
                ),
            )
            for node in self.model.graph.node
            if node.op_type in kinds and node.input[1] in self.constants
        )

    def matrix(self, layer: Layer) -> Array:
        """The weights of a dense layer as [in, out]."""
        weights = self.constants[layer.weights]
        return weights.T if layer.transposed else weights


def multiply_adds(content: bytes) -> int:
    """The multiplications, each with its addition, of one row's way through the layers: weights times positions.

    Those of quantized layers count alike, whose weights are integers.
    """
    network = Network(content)
    graph = network.model.graph
    for node in [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in network.constants]:
        network.constants[node.output[0]] = network.constants[node.input[0]].astype("float32")  # for its shape
        graph.node.remove(node)
    return sum(network.constants[layer.weights].size * layer.positions for layer in (*network.layers(), *network.of_integers()))


def network_of(content: bytes, what: str, kinds: Sequence[Kind] = ("dense", "conv")) -> Network:
    """The network of a model. Raises `RefusedError` where it has no layer of ``kinds``; ``what`` is done to those."""
    network = Network(content)
    if any(layer.kind in kinds for layer in network.layers()):
        return network
    names = {"dense": "Gemm or MatMul", "conv": "Conv"}
    found = sorted({node.op_type for node in network.model.graph.node})
    trees = any("TreeEnsemble" in name for name in found)
    advice = "trees have no such weights: prune_trees or distill makes them smaller" if trees else "take another method"
    raise RefusedError(
        f"{what} changes the weights of {' or '.join(names[kind] for kind in kinds)}; got a graph of {', '.join(found)}; {advice}"
    )


def _product(sizes: Sequence[int | None], output: str) -> int:
    found = 1
    for size in sizes:
        if size is None:
            raise RefusedError(
                f"the sizes of a network are fixed, but for the rows; '{output}' has one that is not; export it with fixed sizes"
            )
        found *= size
    return found
