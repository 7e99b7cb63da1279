"""Arrow's columns as a model's input: the values that Python's numbers of the same rows give."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import DefinitionError
from features.inputs.arrow import floats, from_list, table_matrix, to_list
from features.inputs.matrix import matrix
from features.plan import Column, ColumnType, OnDemand, Plan, Source, Stage, WindowFeature

NAMES = ("a", "b", "e", "f", "g", "h", "note")
PLAN = Plan(
    service="s",
    spine="orders",
    sources=(Source("orders", "orders", (Column("note", ColumnType("string")),), "at", "id", "orders.parquet", 0),),
    windows=(Stage("orders", ("shop",), (WindowFeature("notes__last", "last", "note", 1000),)),),
    on_demand=(OnDemand("v", (), (), NAMES, "0"),),
    batch=(),
    inputs=("v__a",),
    mode="arrival",
    lateness_ms=0,
)


def test_a_matrix_has_nan_for_null() -> None:
    """Integers, decimals, booleans and floats become float32 in the order of the inputs."""
    prices = pa.array([Decimal("0.1"), None], pa.decimal128(12, 2))
    columns = {"a": [2**53 + 1, None], "b": [0.5, 1e300], "e": [True, False], "f": [None, None], "g": prices, "h": [2**63 - 1, 1]}
    table = pa.table({f"v__{name}": column for name, column in columns.items()})
    expected = [[0.5, 2**53, 1, np.nan, 0.1, 2**63], [np.inf, np.nan, 0, np.nan, np.nan, 1]]
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(
            table_matrix(table, PLAN, [f"v__{name}" for name in ("b", "a", "e", "f", "g", "h")]), np.array(expected, np.float32)
        )


def test_texts_and_strangers_are_refused() -> None:
    """Whether the plan says that it is a text, or the column does."""
    table = pa.table({"v__note": ["x"], "notes__last": ["y"]})
    with pytest.raises(DefinitionError, match="got 'v__note' of type string"):
        table_matrix(table, PLAN, ["v__note"])
    with pytest.raises(DefinitionError, match="got 'notes__last' of type string"):
        table_matrix(table, PLAN, ["notes__last"])
    with pytest.raises(DefinitionError, match="got v__d; "):
        table_matrix(table, PLAN, ["v__d"])


@given(st.lists(st.none() | st.integers(1 - 10**18, 10**18 - 1) | st.integers(-(10**6), 10**6), max_size=20), st.integers(0, 3))
def test_decimals_become_the_nearest_doubles(whole: list[int | None], first: int) -> None:
    """What the text of each is read as, in lists and slices too, beyond 2^53 of the smallest unit."""
    kind = pa.decimal128(18, 4)
    values = [None if value is None else Decimal(value).scaleb(-4) for value in whole]
    lists = [[] if value is None else [value] for value in values]
    table = pa.table({"one": pa.array(values, kind), "many": pa.array(lists, pa.list_(kind))})
    found = floats(table.slice(first)).to_pydict()
    assert found["one"] == [None if value is None else float(value) for value in values[first:]]
    assert found["many"] == [[float(value) for value in some] for some in lists[first:]]


@given(st.lists(st.none() | st.integers(-(2**64), 2**64) | st.booleans() | st.floats(allow_nan=False), min_size=1))
def test_a_column_of_numbers_gives_the_same_bits(values: list[Any]) -> None:
    """Whatever a function gives is the same to the model through Arrow as it is without."""
    table = pa.table({"v__a": from_list(values)})
    np.testing.assert_array_equal(table_matrix(table, PLAN, ["v__a"]), matrix([[value] for value in values]))


def test_values_for_a_function_are_those_of_json() -> None:
    """A decimal is a float, one without places an int."""
    assert to_list(pa.chunked_array([pa.array([Decimal("2.50"), None])])) == [2.5, None]
    whole = to_list(pa.chunked_array([pa.array([Decimal(2**70), None], pa.decimal128(38, 0))]))
    assert whole == [2**70, None]
    assert isinstance(whole[0], int)
