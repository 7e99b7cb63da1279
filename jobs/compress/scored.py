"""The outputs of a model, by what they say of its score; and a graph that gives a student's score as the same outputs."""

from __future__ import annotations

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper

from features.inputs.matrix import Floats
from features.inputs.outputs import BINARY
from features.inputs.session import open_session
from jobs.compress.candidate import RefusedError
from jobs.training.fitted import matrix_signature

CHANCE, MADE = "student_chance", "student_"
"""The tensor of a student's score as [n, 1], and what the names of a student's own tensors and nodes begin with."""
OPSET = 13
"""Of the operators that make outputs of a score: a student's graph has this or a newer one."""


class Shape(msgspec.Struct, frozen=True):
    """What a model takes, and what its outputs are."""

    input: str
    width: int
    outputs: tuple[tuple[str, str, bool], ...]
    """Name and kind of each, and whether it is of doubles, not float32:
    ``score`` [n], ``column`` [n, 1], ``shares`` [n, 2] of which the second is the score, or ``label``
    [n], which is 1 where the score is above 1/2."""


def shape_of(content: bytes, x: Floats) -> Shape:
    """The shape of a model's outputs; ``x``, [n, inputs], are rows that it scores.

    Raises `RefusedError` where an output does not follow from the score, as a student's must: other classes, texts, maps.
    """
    session = open_session(content)
    found = matrix_signature(session, x.shape[1])
    (taken,), (name, _) = found.inputs, found.score
    outputs = []
    for output, given in zip(found.outputs, session.run(None, {taken.name: x[:2]}), strict=True):
        kind = None
        if isinstance(given, np.ndarray) and given.dtype in (np.float32, np.float64):
            kind = "shares" if len(output.classes) == BINARY else {1: "score", 2: "column"}[given.ndim]
            kind = kind if output.name == name and (kind == "shares" or not output.classes) else None
        elif isinstance(given, np.ndarray) and given.dtype == np.int64 and given.ndim == 1:
            kind = "label"
        if kind is None:
            raise RefusedError(
                "a student gives the outputs of its teacher, a score and at most the label 0 or 1 beside it; got "
                f"'{output.name}', which does not follow from the score; take another method"
            )
        outputs.append((output.name, kind, given.dtype == np.float64))
    return Shape(taken.name, x.shape[1], tuple(outputs))


def dressed(student: onnx.ModelProto, shape: Shape, *, log_odds: bool) -> bytes:
    """The student's graph with the teacher's input and outputs.

    The student takes one float32 [n, inputs] and gives its score first, [n, 1]; ``log_odds``: as log odds, of which the graph
    gives the chance.
    """
    made = onnx.ModelProto()
    made.CopyFrom(student)
    graph = made.graph
    names = {graph.input[0].name: shape.input}
    score = graph.output[0].name
    for node in graph.node:
        for of in (node.input, node.output):
            of[:] = [names.get(name, name if not name else MADE + name) for name in of]
        node.name = MADE + node.name
    for tensor in graph.initializer:
        tensor.name = MADE + tensor.name
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.append(helper.make_tensor_value_info(shape.input, TensorProto.FLOAT, [None, shape.width]))
    graph.node.append(helper.make_node("Cast", [MADE + score], [f"{CHANCE}_raw"], to=TensorProto.FLOAT))  # of doubles: an mlp's
    graph.node.append(helper.make_node("Sigmoid" if log_odds else "Identity", [f"{CHANCE}_raw"], [CHANCE]))
    for name, kind, doubles in shape.outputs:
        _give(graph, name, kind, TensorProto.DOUBLE if doubles else TensorProto.FLOAT)
    versions = {one.domain: one.version for one in made.opset_import}
    if versions.get("", OPSET) < OPSET or "" not in versions:
        kept = [one for one in made.opset_import if one.domain]
        del made.opset_import[:]
        made.opset_import.extend([helper.make_opsetid("", OPSET), *kept])
    made.ir_version = max(made.ir_version, 8)
    content: bytes = made.SerializeToString()
    return content


def _give(graph: onnx.GraphProto, name: str, kind: str, of: int) -> None:
    """Add the output ``name`` of type ``of`` to a graph with `CHANCE`."""
    made = f"{name}_made"
    dims: list[int | None] = [None]
    if kind == "shares":
        dims = [None, BINARY]
        graph.initializer.append(helper.make_tensor(f"{name}_one", TensorProto.FLOAT, [1], [1.0]))
        graph.node.append(helper.make_node("Sub", [f"{name}_one", CHANCE], [f"{name}_other"]))
        graph.node.append(helper.make_node("Concat", [f"{name}_other", CHANCE], [made], axis=1))
    elif kind == "column":
        dims, made = [None, 1], CHANCE
    else:
        graph.initializer.append(helper.make_tensor(f"{name}_shape", TensorProto.INT64, [1], [-1]))
        graph.node.append(helper.make_node("Reshape", [CHANCE, f"{name}_shape"], [made]))
    if kind == "label":
        of, flat, made = TensorProto.INT64, made, f"{name}_above"
        graph.initializer.append(helper.make_tensor(f"{name}_half", TensorProto.FLOAT, [1], [0.5]))
        graph.node.append(helper.make_node("Greater", [flat, f"{name}_half"], [made]))
    graph.node.append(helper.make_node("Cast", [made], [name], to=of))
    graph.output.append(helper.make_tensor_value_info(name, of, dims))
