"""From values to what an ONNX model is fed: a tensor for each of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from features.errors import DefinitionError
from features.inputs.matrix import matrix
from features.inputs.signature import Kind, Tensor

Feed = npt.NDArray[Any]
FLOATS: dict[Kind, type] = {"float": np.float32, "double": np.float64}


def feeds(tensors: Sequence[Tensor], rows: Sequence[Sequence[Any]]) -> dict[str, Feed]:
    """What a model with these inputs is fed for ``rows``, each in the order of the tensors' columns. None is a null.

    A null is NaN in float and double, and the empty text in string; int64 and bool hold none. A number is the nearest double,
    and of that the nearest float32. Raises `DefinitionError` for a value that an input does not hold.

    >>> one = Tensor("x", "float", ("v__a", "v__b"), matrix=True)
    >>> feeds([one], [(1, None), (True, 2**24 + 1)])["x"].tolist()
    [[1.0, nan], [1.0, 16777216.0]]
    """
    if len(tensors) == 1 and tensors[0].type in FLOATS and tensors[0].matrix:
        return {tensors[0].name: matrix(rows, FLOATS[tensors[0].type])}
    columns = list(zip(*rows, strict=True))
    found, first = {}, 0
    for tensor in tensors:
        found[tensor.name], unheld = feed(tensor, columns[first : first + len(tensor.columns)])
        if unheld:
            raise DefinitionError(unheld[min(unheld)])
        first += len(tensor.columns)
    return found


def feed(tensor: Tensor, columns: Sequence[Sequence[Any]]) -> tuple[Feed, dict[int, str]]:
    """What one input is fed, and for each row with a value that it does not hold, by number, why."""
    unheld: dict[int, str] = {}
    if tensor.type in FLOATS:
        made = matrix(list(zip(*columns, strict=True)), FLOATS[tensor.type])
    else:
        of_columns = [_column(tensor.type, values, name, unheld) for name, values in zip(tensor.columns, columns, strict=True)]
        made = of_columns[0][:, np.newaxis] if len(of_columns) == 1 else np.column_stack(of_columns)
    return made if tensor.matrix else made[:, 0], unheld


def _column(kind: Kind, values: Sequence[Any], name: str, unheld: dict[int, str]) -> Feed:
    taken, cast, empty = OTHERS[kind]
    if kind != "string":
        quick = np.array(values)
        if quick.dtype.kind in ("b" if kind == "bool" else "bi"):
            return quick.astype(taken)
    made = np.full(len(values), empty, taken)
    for row, value in enumerate(values):
        try:
            made[row] = cast(value)
        except (ValueError, OverflowError):
            came = "null" if value is None else f"{value!r:.40}"
            unheld.setdefault(row, f"a model's input of type {kind} takes {WHAT[kind]}; got {came} in '{name}'")
    return made


def _whole(value: Any) -> int:
    if isinstance(value, bool | int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise ValueError


def _truth(value: Any) -> bool:
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise ValueError


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise ValueError


WHAT = {
    "int64": "whole numbers of 64 bits, and no null",
    "bool": "true and false, and no null",
    "string": "strings",
}
OTHERS: dict[Kind, tuple[Any, Callable[[Any], Any], Any]] = {
    "int64": (np.int64, _whole, 0),
    "bool": (np.bool_, _truth, False),
    "string": (object, _text, ""),
}
"""For each type that is no float: numpy's, how a value becomes one, and what stands for a value that does not."""
