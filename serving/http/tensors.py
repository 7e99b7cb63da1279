"""Tensors of the Open Inference Protocol, as JSON and as its binary extension has them, to and from numpy."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from features.inputs.signature import Kind
from serving.http.problems import ProblemError

Array = npt.NDArray[Any]
DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
"""The protocol's types, as numpy's; BYTES are texts here, since those of ONNX are."""
KINDS: dict[Kind, str] = {"float": "FP32", "double": "FP64", "int64": "INT64", "bool": "BOOL", "string": "BYTES"}
"""The protocol's type of each type of a model's input."""
LENGTH = struct.Struct("<I")
MOST_DIMENSIONS = 8


def size_of(shape: Sequence[int], name: str) -> int:
    """How many values a tensor of this shape has. Raises `ProblemError` for what is no shape."""
    if len(shape) > MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise ProblemError(400, f"a shape is at most {MOST_DIMENSIONS} sizes of 0 or more; got {list(shape)} of '{name}'")
    return math.prod(shape)


def of_json(name: str, datatype: str, shape: Sequence[int], data: Any) -> Array:
    """A tensor of JSON's ``data``, flat or nested. Raises `ProblemError`: it doesn't fit its shape, or its type."""
    kind = _dtype(name, datatype)
    values = _flat(data, name)
    size = size_of(shape, name)
    if len(values) != size:
        raise ProblemError(400, f"'{name}' of shape {list(shape)} has {size} values; got {len(values)}")
    _check(values, name, datatype)
    try:
        with np.errstate(over="ignore"):
            made = np.array(values, kind)
    except OverflowError as error:
        raise ProblemError(400, f"'{name}' has values of {datatype}; {error}") from None
    if made.dtype.kind == "f" and np.isinf(made).any():  # JSON has no infinity: a number was too large
        raise ProblemError(400, f"'{name}' has values of {datatype}; got one beyond them at place {int(np.isinf(made).argmax())}")
    return made.reshape(shape)


def of_bytes(name: str, datatype: str, shape: Sequence[int], raw: bytes) -> Array:
    """A tensor of the binary extension. Raises `ProblemError`: it doesn't fit its shape, or its type."""
    kind, size = _dtype(name, datatype), size_of(shape, name)
    if datatype == "BYTES":
        values = _texts(name, raw)
        if len(values) != size:
            raise ProblemError(400, f"'{name}' of shape {list(shape)} has {size} values; got {len(values)}")
        made = np.empty(size, np.object_)
        made[:] = values
        return made.reshape(shape)
    expected = size * np.dtype(kind).itemsize
    if len(raw) != expected:
        raise ProblemError(400, f"'{name}' of {datatype} and shape {list(shape)} has {expected} bytes; got {len(raw)}")
    if datatype == "BOOL" and raw.translate(None, b"\0\1"):
        raise ProblemError(400, f"'{name}' of BOOL has a byte of 0 or 1 for each value; got another")
    return np.frombuffer(raw, np.dtype(kind).newbyteorder("<")).astype(kind, copy=False).reshape(shape)


def converted(name: str, given: Array, kind: Kind) -> Array:
    """A tensor as the type that a model's input has, where each of its values is one of that; `ProblemError` otherwise.

    A number is the nearest float, as features are; whole numbers, booleans and texts have to be what they are.
    """
    target = DTYPES[KINDS[kind]]
    if given.dtype == target:
        return given
    is_text = given.dtype == np.object_
    if is_text or kind == "string":
        raise _unfit(name, kind, given)
    if kind in ("float", "double"):
        with np.errstate(over="ignore"):
            return given.astype(target)
    if given.dtype.kind == "f" and not (np.isfinite(given).all() and (given == np.floor(given)).all()):
        raise _unfit(name, kind, given)
    if kind == "bool":
        if not np.isin(given, (0, 1)).all():
            raise _unfit(name, kind, given)
        return given.astype(np.bool_)
    if given.size and not -(2**63) <= int(given.min()) <= int(given.max()) < 2**63:
        raise _unfit(name, kind, given)
    return given.astype(np.int64)


def to_json(values: Array) -> list[Any]:
    """The values of a tensor in row order; a number that is none is null, as JSON has no NaN."""
    flat: list[Any] = values.reshape(-1).tolist()
    if values.dtype.kind == "f":
        return [value if math.isfinite(value) else None for value in flat]
    return flat


def to_bytes(values: Array) -> bytes:
    """The values of a tensor as the binary extension has them."""
    if values.dtype != np.object_:
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [str(value).encode() for value in values.reshape(-1)]
    return b"".join(LENGTH.pack(len(text)) + text for text in texts)


def datatype_of(values: Array) -> str:
    """The protocol's type of an output."""
    return next(name for name, kind in DTYPES.items() if values.dtype == kind)


def _dtype(name: str, datatype: str) -> Any:
    if datatype not in DTYPES:
        raise ProblemError(400, f"a datatype is one of {', '.join(DTYPES)}; got '{datatype}' of '{name}'")
    return DTYPES[datatype]


def _unfit(name: str, kind: Kind, given: Array) -> ProblemError:
    return ProblemError(
        400, f"the model's input '{name}' is {KINDS[kind]}; got {datatype_of(given)} with values that it cannot hold"
    )


def _flat(data: Any, name: str) -> list[Any]:
    """The values of lists within lists of one depth, in row order."""
    if not isinstance(data, list):
        raise ProblemError(400, f"'{name}' has its values as a list in 'data'; got {type(data).__name__}")
    values: list[Any] = data
    for _ in range(MOST_DIMENSIONS):
        nested = sum(isinstance(one, list) for one in values)
        if not nested:
            return values
        if nested < len(values):
            break
        values = [value for one in values for value in one]
    raise ProblemError(400, f"'{name}' has its values flat, or nested as its shape; got a list that is neither")


def _check(values: Sequence[Any], name: str, datatype: str) -> None:
    """Raise `ProblemError` for a value of another type than JSON has for these: numpy would convert it without a word.

    A float may be null, which is NaN: JSON has no other word for it.
    """
    taken: Mapping[str, tuple[type, ...]] = {"BOOL": (bool,), "BYTES": (str,)}
    kinds = taken.get(datatype) or ((int, float, type(None)) if datatype.startswith("FP") else (int,))
    for place, value in enumerate(values):
        if type(value) not in kinds:
            raise ProblemError(400, f"'{name}' has values of {datatype}; got {value!r:.40} at place {place}")


def _texts(name: str, raw: bytes) -> list[str]:
    texts, place = [], 0
    try:
        while place < len(raw):
            (length,) = LENGTH.unpack_from(raw, place)
            place += LENGTH.size
            if place + length > len(raw):
                raise ValueError("it ends early")
            texts.append(raw[place : place + length].decode())
            place += length
    except (struct.error, ValueError) as error:
        raise ProblemError(
            400, f"'{name}' of BYTES has for each value its length, 4 bytes, and a text in UTF-8; {error}"
        ) from None
    return texts
