"""Arrow's columns as those of a model's input, by millions of rows, with the values that the scorer has of the same event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.errors import DefinitionError
from features.inputs.columns import check_inputs, features_of, list_columns
from features.inputs.feeds import FLOATS, Feed, feed
from features.inputs.matrix import Floats, matrix
from features.inputs.signature import Tensor
from features.plan import Plan

Doubles = npt.NDArray[np.float64]
BATCH = 65_536
"""Rows whose doubles are in memory at once."""
EXACT, EXACT_PLACES = 2**53, 22
"""Whole numbers up to this, and powers of ten up to this one, are doubles; so their quotient is the nearest double."""


def to_list(column: pa.ChunkedArray) -> list[Any]:
    """Python values, None for null. A decimal is what the stream's JSON is read as: a float, or an int where it has no places."""
    if pa.types.is_decimal(column.type) and column.type.scale == 0:
        return [None if value is None else int(value) for value in column.to_pylist()]
    column = _floats(column)
    if column.null_count or not pa.types.is_primitive(column.type):
        values: list[Any] = column.to_pylist()
    else:
        values = column.to_numpy().tolist()  # some twenty times faster
    return values


def from_list(values: Sequence[Any]) -> pa.ChunkedArray:
    """Numbers and None as a column: of 64-bit integers or of booleans where all are, otherwise of doubles.

    Raises `DefinitionError` for an integer that is too large for those.
    """
    try:
        column = pa.array(values)
    except (OverflowError, pa.ArrowException):
        # Booleans among numbers, an integer beyond 64 bits, or one beyond 2^53 among doubles.
        column = pa.array([None if value is None else _double(value) for value in values], pa.float64())
    return pa.chunked_array([column])


def _double(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise DefinitionError(
            f"a feature is a number that a double can hold; got one of {value.bit_length()} bits; give less of it"
        ) from None


def table_matrix(table: pa.Table, plan: Plan, inputs: Sequence[str]) -> Floats:
    """`matrix` of a table's ``inputs``, [rows, inputs]; lists are their columns, as `input_columns` gives them.

    Raises `DefinitionError` for an input that the plan does not give, or that is no number.
    """
    check_inputs(plan, inputs)
    x = np.empty((table.num_rows, len(inputs)), np.float32)
    for first in range(0, table.num_rows, BATCH):
        columns = input_arrays(table.slice(first, BATCH), plan, inputs)
        x[first : first + BATCH] = matrix(_stacked(columns))
    return x


def table_feeds(table: pa.Table, plan: Plan, tensors: Sequence[Tensor]) -> tuple[dict[str, Feed], dict[int, str]]:
    """`features.inputs.feeds.feeds` of a table's rows, and by its number why a row has a value that an input does not hold.

    What is fed for such a row says nothing. Raises `DefinitionError` where a float or double input is no number.
    """
    found, unheld = {}, dict[int, str]()
    columns = input_arrays(table, plan, [column for tensor in tensors for column in tensor.columns])
    for tensor in tensors:
        own = {name: columns[name] for name in tensor.columns}
        if tensor.type in FLOATS:
            x = matrix(_stacked(own), FLOATS[tensor.type])
            found[tensor.name] = x if tensor.matrix else x[:, 0]
            continue
        found[tensor.name], missing = feed(tensor, [to_list(pa.chunked_array([column])) for column in own.values()])
        unheld = missing | unheld  # of a row the first input that does not hold its value, as a single row is refused
    return found, unheld


def table_rows(table: pa.Table, plan: Plan, inputs: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of a table as the scorer has them: Python's values of ``inputs``, lists as their columns."""
    columns = input_arrays(table, plan, inputs)
    return list(zip(*(to_list(pa.chunked_array([column])) for column in columns.values()), strict=True))


def input_arrays(table: pa.Table, plan: Plan, inputs: Sequence[str]) -> dict[str, pa.Array]:
    """The columns of a table that are ``inputs``, by name; a list's are made of it."""
    of_lists = list_columns(plan)
    whole = {name: _one_array(table[name]) for name in features_of(plan, inputs)}
    return {name: _at(whole[of_lists[name][0]], of_lists[name][1]) if name in of_lists else whole[name] for name in inputs}


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    made = column.combine_chunks()
    return pa.concat_arrays(made.chunks) if isinstance(made, pa.ChunkedArray) else made


def _stacked(columns: Mapping[str, pa.Array]) -> Doubles:
    return np.column_stack([_doubles(name, column) for name, column in columns.items()])


def floats(table: pa.Table) -> pa.Table:
    """``table`` with its decimals, in lists too, as the nearest doubles: pyarrow 16's own cast is an ulp off for one in eight."""
    return pa.table({name: _floats(column) for name, column in zip(table.column_names, table.columns, strict=True)})


def _floats(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_decimal(kind):
        return pa.chunked_array([_nearest(chunk) for chunk in column.chunks], pa.float64())
    if pa.types.is_list(kind) and pa.types.is_decimal(kind.value_type):
        return pa.chunked_array([_nearest_in_lists(chunk) for chunk in column.chunks], pa.list_(pa.float64()))
    return column


def _at(lists: pa.ListArray, place: int) -> pa.Array:
    """`features.inputs.columns.at` of each list."""
    offsets = lists.offsets.to_numpy()
    places = offsets[1:] + place
    return lists.values.take(pa.array(places, mask=places < offsets[:-1]))


def _doubles(name: str, column: pa.Array) -> Doubles:
    """A column of numbers as doubles; null is NaN. Not by Arrow's cast, which refuses integers beyond 2^53."""
    kind = column.type
    if pa.types.is_decimal(kind):
        column = _nearest(column)
    elif pa.types.is_null(kind) or pa.types.is_boolean(kind):
        column = column.cast(pa.float64())
    elif not pa.types.is_integer(kind) and not pa.types.is_floating(kind):
        raise DefinitionError(f"a model's inputs are numbers; got '{name}' of type {kind}; make a number of it on demand")
    if not column.null_count:
        whole: Doubles = column.to_numpy().astype(np.float64, copy=False)
        return whole
    numbers: Doubles = column.fill_null(0).to_numpy().astype(np.float64)
    numbers[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return numbers


def _nearest(column: pa.Array) -> pa.Array:
    """Decimals as the nearest doubles: what the text of each one is read as."""
    if not len(column):
        return pa.array([], pa.float64())
    scale = column.type.scale
    whole = np.frombuffer(column.buffers()[1], np.int64).reshape(-1, 2)[column.offset : column.offset + len(column)]
    low, high = whole[:, 0], whole[:, 1]
    found = low / 10.0**scale
    missing = column.is_null().to_numpy(zero_copy_only=False)
    divides = (high == low >> 63) & (low <= EXACT) & (low >= -EXACT) & (scale <= EXACT_PLACES)
    for place in np.flatnonzero(~divides & ~missing):
        found[place] = float(column[place].as_py())
    return pa.array(found, pa.float64(), mask=missing)


def _nearest_in_lists(lists: pa.ListArray) -> pa.ListArray:
    counts = lists.value_lengths().fill_null(0).to_numpy()
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
    return pa.ListArray.from_arrays(offsets, _nearest(lists.flatten()), mask=lists.is_null())
