"""Graphs whose weights are 16-bit floats, where the CPU computes with them."""

from __future__ import annotations

import platform
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxruntime as ort
from onnx import TensorProto
from onnxruntime.transformers.float16 import convert_float_to_float16

from jobs.compress.candidate import RefusedError
from jobs.compress.graph import LAYERS, read


def convert(content: bytes) -> bytes:
    """``content`` in float16, with its inputs and outputs as they were.

    Raises `RefusedError` where ONNX Runtime would cast every layer of it back to float32 on this machine.
    """
    model = convert_float_to_float16(read(content), keep_io_types=True)
    made: bytes = model.SerializeToString()
    if not computes(made):
        raise RefusedError(
            f"quantize:kind=fp16 needs float16 kernels; ONNX Runtime {ort.__version__} has none for the layers of this graph on "
            f"{platform.machine()}: it casts them to float32, which takes longer; write quantize:kind=static"
        )
    return made


def computes(content: bytes) -> bool:
    """Whether ONNX Runtime runs a layer of ``content`` in float16 here: looked up in the graph that it makes of it to run it."""
    with TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "run.onnx")
        ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        run = onnx.shape_inference.infer_shapes(onnx.load(options.optimized_model_filepath))
    types = {one.name: one.type.tensor_type.elem_type for one in (*run.graph.value_info, *run.graph.input, *run.graph.output)}
    types |= {one.name: one.data_type for one in run.graph.initializer}
    return any(types.get(name) == TensorProto.FLOAT16 for node in run.graph.node if node.op_type in LAYERS for name in node.input)
