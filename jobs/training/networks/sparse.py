"""Weights of which most are 0, in fewer bytes: ONNX's sparse initializers, a value and a place for each that is not 0.

ONNX has them since version 6 of its IR (https://github.com/onnx/onnx/blob/main/docs/IR.md). ONNX Runtime makes plain tensors of
them as it loads a file, so they save bytes on disk, and neither memory nor time. Values are the same to the bit: 0 is 0.0, and
-0.0 is a value. Places are written as protobuf's variable-length numbers: two bytes each in a tensor of up to 16,384 weights,
three in one of two million.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SINCE = 6
"""The version of ONNX's IR that has them."""


def stored_sparsely(content: bytes) -> bytes:
    """The model with each float32 initializer sparse that takes fewer bytes so; as it is where none does."""
    model = onnx.load_model_from_string(content)
    graph, dense = model.graph, list[Any]()
    for tensor in graph.initializer:
        sparse = _sparse(tensor) if tensor.data_type == TensorProto.FLOAT else None
        if sparse is not None and sparse.ByteSize() < tensor.ByteSize():
            graph.sparse_initializer.append(sparse)
        else:
            dense.append(tensor)
    if len(dense) == len(graph.initializer):
        return content
    del graph.initializer[:]
    graph.initializer.extend(dense)
    model.ir_version = max(model.ir_version, SINCE)
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString()
    return written


def load(content: bytes) -> Any:
    """The model of a file, without sparse initializers: those that it has are plain ones."""
    model = onnx.load_model_from_string(content)
    graph = model.graph
    for one in graph.sparse_initializer:
        values, places = numpy_helper.to_array(one.values), numpy_helper.to_array(one.indices)
        dense = np.zeros(tuple(one.dims), values.dtype)
        dense[np.unravel_index(places, dense.shape) if places.ndim == 1 else tuple(places.T)] = values
        graph.initializer.append(numpy_helper.from_array(dense, one.values.name))
    del graph.sparse_initializer[:]
    return model


def _sparse(tensor: Any) -> Any:
    flat = numpy_helper.to_array(tensor).reshape(-1)
    places = np.flatnonzero(flat.view(np.uint32))
    values = numpy_helper.from_array(flat[places], tensor.name)
    return helper.make_sparse_tensor(
        values, helper.make_tensor("", TensorProto.INT64, [len(places)], places.tolist()), list(tensor.dims)
    )
