"""Graphs whose weights are 8-bit integers, by ONNX Runtime's quantization tools.

They work on files: all of theirs lie in a temporary folder, which is gone afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType
from onnxruntime.quantization import quantize_dynamic as _quantize_dynamic
from onnxruntime.quantization import quantize_static as _quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from features.errors import SettingError
from features.inputs.matrix import Floats
from features.inputs.session import open_session
from jobs.compress.candidate import RefusedError
from jobs.compress.graph import LAYERS, read

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
BATCH = 128
"""Rows that are calibrated at once."""
PER_CHANNEL_OPSET = 13
"""From which DequantizeLinear has an axis."""
HALF = 127
"""Of the steps of a row's integers, 128 stands for 0.0."""
SMALLEST = 1e-30
"""A row of zeros is not divided by 0."""


def static(onnx: bytes, x: Floats, *, per_channel: bool, reduce_range: bool, calibration: str, rows: int) -> bytes:
    """``onnx`` with integer weights and integer inputs of its layers, by ranges that are found on ``rows`` of ``x``, [n, inputs].

    What the last layers give stays float32: of 256 steps, scores would be equal that were not.
    """
    opset = _opset(read(onnx))
    if per_channel and opset < PER_CHANNEL_OPSET:
        raise RefusedError(
            f"quantization per channel needs opset {PER_CHANNEL_OPSET}; got {opset}; convert the model with a newer "
            "target_opset, or write quantize:per_channel=false"
        )
    with _quiet(), TemporaryDirectory() as folder:
        prepared = _prepared(onnx, Path(folder))
        written = Path(folder) / "static.onnx"
        _quantize_static(
            str(prepared),
            str(written),
            _Rows(prepared.read_bytes(), _calibrating(x, rows)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*LAYERS, "Relu"],
            per_channel=per_channel,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[calibration],
            extra_options={"MatMulConstBOnly": True},
        )
        return _checked(_with_float_ends(read(written.read_bytes())))


def dynamic(onnx: bytes, *, per_channel: bool, reduce_range: bool) -> bytes:
    """``onnx`` with integer weights; what goes into a layer becomes integers by each row's own range as it is scored.

    ONNX's DynamicQuantizeLinear takes the range of the whole batch: a row's score would depend on the rows beside it, and could
    not be computed again from its receipt. In its place is the same by row, symmetric around 0.
    """
    with _quiet(), TemporaryDirectory() as folder:
        prepared = _prepared(onnx, Path(folder))
        written = Path(folder) / "dynamic.onnx"
        _quantize_dynamic(
            str(prepared),
            str(written),
            op_types_to_quantize=list(LAYERS),
            per_channel=per_channel,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return _checked(_by_row(read(written.read_bytes())))


class _Rows(CalibrationDataReader):  # type: ignore[misc]
    """Rows for the one input of a model, in batches."""

    def __init__(self, onnx: bytes, x: Floats) -> None:
        name = open_session(onnx).get_inputs()[0].name
        self._batches = iter([{name: x[first : first + BATCH]} for first in range(0, len(x), BATCH)])

    def get_next(self) -> dict[str, Floats] | None:
        """The next batch; None after the last."""
        return next(self._batches, None)


def _calibrating(x: Floats, rows: int) -> Floats:
    """At most so many rows, from all over ``x``."""
    if not len(x):
        raise SettingError("calibration needs rows of training; got none; take other days")
    places = np.unique(np.linspace(0, len(x) - 1, rows).round().astype(int))
    chosen: Floats = x[places]
    return chosen


def _prepared(onnx: bytes, folder: Path) -> Path:
    """The model as the tools want it: shapes known, MatMul and Add one Gemm, constants folded."""
    given, prepared = folder / "given.onnx", folder / "prepared.onnx"
    given.write_bytes(read(onnx).SerializeToString())
    quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
    return prepared


def _with_float_ends(model: ModelProto) -> ModelProto:
    """Without the integers between a last layer and what follows: QuantizeLinear and DequantizeLinear there are left out."""
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    before_layers = _upstream(graph.node, makers)
    gone: list[NodeProto] = []
    for node in graph.node:
        maker = makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if maker is None or maker.op_type != "QuantizeLinear" or node.output[0] in before_layers:
            continue
        _rename(model, node.output[0], maker.input[0])
        gone.append(node)
    _remove(model, gone)
    return model


def _upstream(nodes: Any, makers: dict[str, NodeProto]) -> set[str]:
    """The tensors from which a layer is reached."""
    found: set[str] = set()
    waiting = [name for node in nodes if node.op_type in LAYERS for name in node.input]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += makers[name].input if name in makers else ()
    return found


def _rename(model: ModelProto, name: str, to: str) -> None:
    """Have all that took the tensor ``name`` take ``to``; an output of the graph keeps its name."""
    graph = model.graph
    if name in {output.name for output in graph.output}:
        maker = next(node for node in graph.node if to in node.output)
        name, to = to, name
        maker.output[list(maker.output).index(name)] = to
    for node in graph.node:
        for place, taken in enumerate(node.input):
            if taken == name:
                node.input[place] = to


def _remove(model: ModelProto, gone: list[NodeProto]) -> None:
    """Remove nodes, and then all that nothing takes any more."""
    graph = model.graph
    for node in gone:
        graph.node.remove(node)
    while True:
        taken = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        unused = [node for node in graph.node if not taken & set(node.output)]
        if not unused:
            break
        for node in unused:
            graph.node.remove(node)
    for tensor in [one for one in graph.initializer if one.name not in taken]:
        graph.initializer.remove(tensor)
    for value in [one for one in graph.value_info if one.name not in taken]:
        graph.value_info.remove(value)


def _by_row(model: ModelProto) -> ModelProto:
    """Each DynamicQuantizeLinear by rows: integer = round(value / scale) + 128, scale = the row's largest value / 127."""
    graph = model.graph
    ranks = {one.name: len(one.type.tensor_type.shape.dim) for one in (*graph.input, *graph.value_info)}
    nodes: list[NodeProto] = []
    scales = {node.output[1] for node in graph.node if node.op_type == "DynamicQuantizeLinear"}
    for node in graph.node:
        if node.op_type != "DynamicQuantizeLinear":
            nodes.append(node)
            continue
        value, (quantized, scale, zero) = node.input[0], node.output
        if value not in ranks:
            raise RefusedError(
                f"quantize:kind=dynamic needs the shape of what goes into a layer; '{value}' has none that can be inferred; "
                "write quantize:kind=static"
            )
        axes = list(range(1, ranks[value]))
        for name, number in (("half", np.float32(HALF)), ("middle", np.float32(HALF + 1)), ("least", np.float32(SMALLEST))):
            graph.initializer.append(numpy_helper.from_array(np.asarray(number), f"{quantized}_{name}"))
        graph.initializer.append(numpy_helper.from_array(np.array(HALF + 1, np.uint8), zero))
        nodes += [
            helper.make_node("Abs", [value], [f"{quantized}_size"]),
            *_largest(model, f"{quantized}_size", f"{quantized}_most", axes),
            helper.make_node("Max", [f"{quantized}_most", f"{quantized}_least"], [f"{quantized}_range"]),
            helper.make_node("Div", [f"{quantized}_range", f"{quantized}_half"], [scale]),
            helper.make_node("Div", [value, scale], [f"{quantized}_steps"]),
            helper.make_node("Round", [f"{quantized}_steps"], [f"{quantized}_whole"]),
            helper.make_node("Add", [f"{quantized}_whole", f"{quantized}_middle"], [f"{quantized}_above"]),
            helper.make_node("Cast", [f"{quantized}_above"], [quantized], to=TensorProto.UINT8),
        ]
    del graph.node[:]
    graph.node.extend(_scales_apart(nodes, scales))
    return model


def _scales_apart(nodes: list[NodeProto], scales: set[str]) -> Iterator[NodeProto]:
    """integers × (scale × weights' scale) becomes (integers × weights' scale) × scale.

    Of the first form ONNX Runtime 1.32 makes a MatMulIntegerToFloat that has the first row's scale for all rows.
    """
    products = {node.output[0]: node for node in nodes if node.op_type == "Mul" and scales & set(node.input)}
    for node in nodes:
        if node.output[0] in products:
            continue
        product = next((products[name] for name in node.input if name in products), None)
        if product is None:
            yield node
            continue
        (whole,) = (name for name in node.input if name not in products)
        (scale,), (of_weights,) = ([name for name in product.input if (name in scales) is of_rows] for of_rows in (True, False))
        yield helper.make_node("Mul", [whole, of_weights], [f"{node.output[0]}_by_weights"])
        yield helper.make_node("Mul", [f"{node.output[0]}_by_weights", scale], [node.output[0]])


def _largest(model: ModelProto, of: str, name: str, axes: list[int]) -> Iterator[NodeProto]:
    """ReduceMax, whose axes are an input from opset 18 on."""
    if _opset(model) < 18:
        yield helper.make_node("ReduceMax", [of], [name], axes=axes, keepdims=1)
        return
    model.graph.initializer.append(numpy_helper.from_array(np.array(axes, np.int64), f"{name}_axes"))
    yield helper.make_node("ReduceMax", [of, f"{name}_axes"], [name], keepdims=1)


def _opset(model: ModelProto) -> int:
    return next((int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)


def _checked(model: ModelProto) -> bytes:
    """The file of ``model``. Raises `RefusedError` where no weights became integers: nothing was changed."""
    weights = [one for one in model.graph.initializer if one.data_type == TensorProto.INT8 and len(one.dims) > 1]
    if not weights:
        raise RefusedError(
            "quantization makes integers of constant float32 weights; ONNX Runtime's tools found none that they change; try "
            "another method"
        )
    domains = {node.domain for node in model.graph.node} | {""}
    for other in [one for one in model.opset_import if one.domain not in domains]:
        model.opset_import.remove(other)
    del model.graph.value_info[:], model.metadata_props[:]  # what the tools noted for themselves
    content: bytes = model.SerializeToString()
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, what the tools log with the root logger, a matter of theirs, is not shown."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
