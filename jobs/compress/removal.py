"""Neurons and filters that can leave a network: where in its arrays each of them is, and what it is worth."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx

from features.inputs.matrix import Floats
from features.inputs.session import open_session
from jobs.compress.graph import attributes
from jobs.compress.network import Layer, Network

Worths = npt.NDArray[np.float64]
PASSING = ("Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh", "Identity", "Cast")
"""Operators of one value at a time."""


class Slice(msgspec.Struct, frozen=True):
    """Where the neurons are along an array's axis: neuron j from ``offset + j block``, ``block`` places."""

    constant: str
    axis: int
    block: int = 1
    offset: int = 0


class Neurons(msgspec.Struct, frozen=True):
    """The neurons of a dense layer, or the filters of a Conv, all of whose effect goes into one later layer."""

    layer: Layer
    count: int
    slices: tuple[Slice, ...]
    """All arrays that lose a neuron's places; the first are the layer's own weights, the last those of the later layer."""
    value: str
    """What goes into the later layer, the neurons along axis 1, as the last slice says."""
    groups: tuple[str, ...] = ()
    """The depthwise convolutions on the way, by their outputs."""
    shapes: tuple[str, ...] = ()
    """The shapes of the reshapes on the way that state how many columns there are."""


def removable(network: Network) -> tuple[Neurons, ...]:
    """Those of all layers from which something can leave; not the last layer's, which are the outputs."""
    shapes = network.shapes()
    found = (_neurons(network, layer, shapes) for layer in network.layers())
    return tuple(one for one in found if one is not None)


def worth_by_norm(network: Network, neurons: Neurons) -> Worths:
    """The sum of the magnitudes of what goes into each neuron, [count] (Li et al. 2017, section 3.1)."""
    own = neurons.slices[0]
    weights = np.moveaxis(network.constants[own.constant], own.axis, 0).reshape(neurons.count, -1)
    found: Worths = np.abs(weights.astype(np.float64)).sum(axis=1)
    return found


def worth_by_effect(network: Network, neurons: Neurons, x: Floats) -> Worths:
    """How much each neuron moves what the later layer adds up, [count]: its values' deviation over rows, times its weights."""
    model = onnx.load_model_from_string(network.content)
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(neurons.value))
    session = open_session(model.SerializeToString())
    (values,) = session.run([neurons.value], {session.get_inputs()[0].name: x})
    last = neurons.slices[-1]
    weights = np.moveaxis(network.constants[last.constant], last.axis, 0).astype(np.float64)
    places = last.offset + np.arange(neurons.count * last.block)
    moved = values.reshape(*values.shape[:2], -1).astype(np.float64).std(axis=0).mean(axis=1)[places]
    each = moved * np.linalg.norm(weights.reshape(len(weights), -1), axis=1)[places]
    found: Worths = np.sqrt(np.square(each).reshape(neurons.count, last.block).sum(axis=1))
    return found


def keep(network: Network, neurons: Neurons, kept: npt.NDArray[np.int64]) -> None:
    """Take out all neurons but ``kept``, their numbers in order."""
    for one in neurons.slices:
        values = network.constants[one.constant]
        gone = np.setdiff1d(np.arange(neurons.count), kept)
        places = (one.offset + gone[:, None] * one.block + np.arange(one.block)).reshape(-1)
        network.constants[one.constant] = np.delete(values, places, axis=one.axis)
    for output in neurons.groups:
        for attribute in network.node(output).attribute:
            if attribute.name == "group":
                attribute.i = len(kept) * attribute.i // neurons.count
    for name in neurons.shapes:
        shape = network.constants[name].copy()
        shape[1] = shape[1] * len(kept) // neurons.count
        network.constants[name] = shape


def _neurons(network: Network, layer: Layer, shapes: dict[str, tuple[int | None, ...]]) -> Neurons | None:
    weights = network.constants[layer.weights]
    if layer.groups != 1 or (layer.kind == "dense" and len(shapes.get(layer.node, ())) != 2):
        return None
    axis = 0 if layer.kind == "conv" or layer.transposed else 1
    slices = [Slice(layer.weights, axis)]
    if layer.bias is not None and network.constants[layer.bias].size > 1:
        slices.append(Slice(layer.bias, network.constants[layer.bias].ndim - 1))
    elif layer.bias is None and len(network.node(layer.node).input) > 2 and network.node(layer.node).input[2]:
        return None
    way = _Way(network, shapes, weights.shape[axis], slices)
    end = way.follow(layer.node)
    names = [one.constant for one in way.slices]
    shared = any(len(network.readers(name)) > 1 for name in (*names, *way.shapes)) or len(set(names)) < len(names)
    if end is None or shared:
        return None
    return Neurons(layer, way.count, tuple(way.slices), end, tuple(way.groups), tuple(way.shapes))


class _Way:
    """From a layer's output to the weights of the later layer; ``block`` and ``offset`` as `Slice` has them."""

    def __init__(self, network: Network, shapes: dict[str, tuple[int | None, ...]], count: int, slices: list[Slice]) -> None:
        self.network, self.sizes, self.count, self.slices = network, shapes, count, slices
        self.block, self.offset = 1, 0
        self.groups, self.shapes = list[str](), list[str]()

    def follow(self, value: str) -> str | None:
        """The value that goes into the later layer; None where something else stands on the way."""
        while not self.network.is_output(value) and len(self.network.readers(value)) == 1:
            (node,) = self.network.readers(value)
            constant = next((name for name in node.input if name in self.network.constants), None)
            if node.op_type in ("Gemm", "MatMul", "Conv") and node.input[0] == value and node.input[1] == constant:
                if node.op_type != "Conv" or attributes(node).get("group", 1) == 1:
                    transposed = attributes(node).get("transB") or node.op_type == "Conv"
                    if node.op_type != "Conv" and not self._columns(node, value):
                        return None
                    self.slices.append(Slice(node.input[1], 1 if transposed else 0, self.block, self.offset))
                    return value
                if not self._depthwise(node):
                    return None
            elif not self._pass(node, value, constant):
                return None
            value = node.output[0]
        return None

    def _columns(self, node: Any, value: str) -> bool:
        """Whether a Gemm or MatMul adds up the neurons: of more axes than two it adds up the last, and they are along axis 1."""
        weights = self.network.constants[node.input[1]]
        return not attributes(node).get("transA") and len(self.sizes.get(value, ())) == 2 == weights.ndim

    def _pass(self, node: Any, value: str, constant: str | None) -> bool:
        size = self.sizes.get(value)
        if size is None:
            return False
        if node.op_type in PASSING:
            return True
        if node.op_type in ("Add", "Mul", "Sub") and constant is not None:
            return self._with_constant(constant, len(size))
        if node.op_type == "Flatten" and attributes(node).get("axis", 1) == 1:
            return self._flatten(size)
        if node.op_type == "Reshape" and constant is not None:
            return self._reshape(constant, size)
        if node.op_type == "Concat" and attributes(node)["axis"] == 1 and len(size) == 2:
            for name in list(node.input)[: list(node.input).index(value)]:
                width = self.sizes.get(name, (None, None))[1]
                if width is None:
                    return False
                self.offset += width
            return list(node.input).count(value) == 1
        return False

    def _with_constant(self, constant: str, rank: int) -> bool:
        values = self.network.constants[constant]
        axis = values.ndim - (rank - 1)
        if values.size == 1 or axis < 0 or values.shape[axis] == 1:
            return True
        self.slices.append(Slice(constant, axis, self.block, self.offset))
        return True

    def _reshape(self, constant: str, size: tuple[int | None, ...]) -> bool:
        """Whether each row stays one, and all of its values become its columns."""
        shape, columns = self.network.constants[constant].tolist(), size[1:]
        whole = None if None in columns else int(np.prod([one for one in columns if one is not None]))
        if whole is None or shape not in ([0, -1], [-1, whole], [0, whole]):
            return False
        if shape[1] > 0:
            self.shapes.append(constant)
        return self._flatten(size)

    def _flatten(self, size: tuple[int | None, ...]) -> bool:
        for one in size[2:]:
            if one is None:
                return False
            self.block *= one
            self.offset *= one
        return True

    def _depthwise(self, node: Any) -> bool:
        weights = self.network.constants[node.input[1]]
        if attributes(node)["group"] != self.count * self.block or self.offset:
            return False
        self.block = weights.shape[0] // self.count
        self.slices += [Slice(name, 0, self.block) for name in list(node.input)[1:] if name]
        self.groups.append(node.output[0])
        return all(name in self.network.constants for name in list(node.input)[1:])
