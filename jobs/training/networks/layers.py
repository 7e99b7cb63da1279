"""A network as a few layers, and the ONNX graph that they are, with weights to start from."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from onnx import TensorProto, checker, helper, numpy_helper

from features.inputs.matrix import Floats
from features.inputs.signature import Task
from jobs.training.fitted import INPUT, OPSET, Labels
from jobs.training.networks import Sequences

IR = 8
"""The version of the file's format that opset 15 has."""


class Dense(msgspec.Struct, frozen=True):
    """All columns to ``width`` columns: x W + b."""

    width: int


class Conv1d(msgspec.Struct, frozen=True):
    """Channels of positions to ``filters`` channels of as many positions, each of ``kernel`` neighbours; zeros beyond."""

    filters: int
    kernel: int


class Relu(msgspec.Struct, frozen=True):
    """max(x, 0)."""


class Flatten(msgspec.Struct, frozen=True):
    """The positions of all channels as columns, which the columns that are in no sequence join."""


Layer = Dense | Conv1d | Relu | Flatten


class Scaling(msgspec.Struct, frozen=True):
    """What stands before the layers, as `jobs.training.scikit.before` does it: [n, inputs] → [n, 2 inputs].

    A null becomes its input's median, and a second column says that it was null; then all have mean 0 and deviation 1.
    """

    medians: Floats
    """[inputs]; 0 of an input that was always null."""
    means: Floats
    """[2 inputs]."""
    factors: Floats
    """[2 inputs]: 1 / deviation, and 1 where that is 0."""
    constant: npt.NDArray[np.bool_]
    """[2 inputs]: which columns have one value in all rows of training. No weight is learned for them, so theirs are 0."""


def scaling_of(x: Floats) -> Scaling:
    """The scaling of training rows, [n, inputs]. Sums are of doubles."""
    missing = np.isnan(x)
    known = np.where(missing.all(axis=0), 0, x)
    medians = np.nanmedian(known.astype(np.float64), axis=0).astype(np.float32)
    whole = np.hstack([np.where(missing, medians, x), missing]).astype(np.float64)
    deviations, constant = whole.std(axis=0), np.ptp(whole, axis=0) == 0
    factors = 1 / np.where(constant, 1, deviations)
    return Scaling(medians, whole.mean(axis=0).astype(np.float32), factors.astype(np.float32), constant)


def to_onnx(
    layers: Sequence[Layer], scaling: Scaling, labels: Labels, task: Task, *, seed: int, sequences: Sequences = ()
) -> bytes:
    """The graph of ``layers`` behind ``scaling``, in float32, opset 15, with random weights (He et al. 2015, section 2.2).

    The last layer, a `Dense` of width 1, is added: of a classification its sigmoid is the score and its bias the logit of the
    share of 1s in ``labels``; of a regression it is in deviations of ``labels`` from their mean. ``sequences`` are the channels
    of the first `Conv1d`, and have equal lengths; what says that their values were null is as many channels more.
    """
    graph = _Graph(scaling, sequences, np.random.default_rng(seed))
    for layer in layers:
        graph.add(layer)
    if task == "classification":
        share = float(np.clip(labels.mean(), 1e-6, 1 - 1e-6))
        graph.dense(1, gain=1, bias=np.log(share / (1 - share)))
        graph.node("Sigmoid", graph.value, output="score")
    else:
        graph.dense(1, gain=1)
        spread = graph.node("Mul", graph.value, graph.constant("label_deviation", np.array([labels.std() or 1])))
        graph.node("Add", spread, graph.constant("label_mean", np.array([labels.mean()])), output="score")
    return graph.model(len(scaling.medians))


class _Graph:
    """A graph that grows by a layer at a time; ``value`` is what the next one takes, with ``width`` columns or channels."""

    def __init__(self, scaling: Scaling, sequences: Sequences, random: np.random.Generator) -> None:
        self.nodes: list[object] = []
        self.constants: dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]] = {}
        self.random = random
        inputs = len(scaling.medians)
        prepared = self._scale(scaling)
        self.value, self.width, self.positions = prepared, 2 * inputs, 0
        self.constant_columns = scaling.constant
        if sequences:
            both = [*sequences, *(tuple(place + inputs for place in one) for one in sequences)]
            taken = {place for one in both for place in one}
            left = [place for place in range(2 * inputs) if place not in taken]
            self.positions, self.width = len(sequences[0]), len(both)
            self.joining = self.node("Gather", prepared, self.places("left", left), axis=1) if left else ""
            self.joining_constant = scaling.constant[left]
            columns = self.node("Gather", prepared, self.places("columns", [place for one in both for place in one]), axis=1)
            shape = self.places("channels", [-1, self.width, self.positions])
            self.value = self.node("Reshape", columns, shape)
            self.constant_columns = np.array([scaling.constant[list(one)].all() for one in both])

    def add(self, layer: Layer) -> None:
        if isinstance(layer, Dense):
            self.dense(layer.width, gain=2)
        elif isinstance(layer, Conv1d):
            self._conv(layer)
        elif isinstance(layer, Relu):
            self.value = self.node("Relu", self.value)
        else:
            self._flatten()

    def node(self, op: str, *inputs: str, output: str = "", **attributes: object) -> str:
        """Add an operator; gives the name of its output."""
        name = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f"{op}_{len(self.nodes)}", **attributes))
        return name

    def constant(self, name: str, values: npt.NDArray[np.float32] | npt.NDArray[np.float64]) -> str:
        self.constants[name] = values.astype(np.float32)
        return name

    def places(self, name: str, values: Sequence[int]) -> str:
        self.constants[name] = np.array(values, np.int64)
        return name

    def dense(self, width: int, *, gain: float, bias: float = 0) -> None:
        weights = self.random.normal(size=(self.width, width)) * np.sqrt(gain / self.width)
        weights[self.constant_columns] = 0
        number = len(self.nodes)
        names = self.constant(f"weights_{number}", weights), self.constant(f"bias_{number}", np.full(width, bias))
        self.value, self.width = self.node("Gemm", self.value, *names), width
        self.constant_columns = np.zeros(width, bool)

    def model(self, inputs: int) -> bytes:
        graph = helper.make_graph(
            self.nodes,
            "model",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, inputs])],
            [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="headrace")
        checker.check_model(made, full_check=True)
        content: bytes = made.SerializeToString()
        return content

    def _scale(self, scaling: Scaling) -> str:
        missing = self.node("IsNaN", INPUT)
        known = self.node("Where", missing, self.constant("medians", scaling.medians), INPUT)
        whole = self.node("Concat", known, self.node("Cast", missing, to=TensorProto.FLOAT), axis=1)
        centred = self.node("Sub", whole, self.constant("means", scaling.means))
        return self.node("Mul", centred, self.constant("factors", scaling.factors))

    def _conv(self, layer: Conv1d) -> None:
        weights = self.random.normal(size=(layer.filters, self.width, layer.kernel))
        weights *= np.sqrt(2 / (self.width * layer.kernel))
        weights[:, self.constant_columns] = 0
        number = len(self.nodes)
        names = self.constant(f"weights_{number}", weights), self.constant(f"bias_{number}", np.zeros(layer.filters))
        before = (layer.kernel - 1) // 2
        self.value = self.node("Conv", self.value, *names, kernel_shape=[layer.kernel], pads=[before, layer.kernel - 1 - before])
        self.width, self.constant_columns = layer.filters, np.zeros(layer.filters, bool)

    def _flatten(self) -> None:
        flat = self.node("Flatten", self.value, axis=1)
        self.constant_columns = np.repeat(self.constant_columns, self.positions)
        if self.joining:
            flat = self.node("Concat", flat, self.joining, axis=1)
            self.constant_columns = np.concatenate([self.constant_columns, self.joining_constant])
        self.value, self.width = flat, len(self.constant_columns)
