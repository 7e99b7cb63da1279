"""What a model is fed: the same for a scorer's rows and for a table, for inputs of every type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import DefinitionError
from features.inputs.arrow import from_list, table_feeds, table_rows
from features.inputs.feeds import feeds
from features.inputs.signature import Kind, Tensor
from tests.support.orders import PLAN

HALF, COUNT, WEB, REGION = "derived__half", "recent__count", "recent__last_web", "profile__region"


def one(kind: Kind, *columns: str, matrix: bool = True) -> Tensor:
    """An input."""
    return Tensor("x", kind, columns, matrix)


def test_a_null_is_nan_or_the_empty_text() -> None:
    """In float and double, and in string."""
    for kind in ("float", "double"):
        assert np.isnan(feeds([one(kind, HALF)], [(None,)])["x"]).all()  # type: ignore[arg-type]
    assert feeds([one("string", REGION)], [(None,), ("é",)])["x"].tolist() == [[""], ["é"]]


def test_doubles_are_exact() -> None:
    """Also what float32 would round."""
    values = [(2**53 - 1, 0.1), (-(2**24) - 1, 1e300)]
    assert feeds([one("double", COUNT, HALF)], values)["x"].tolist() == [[2.0**53 - 1, 0.1], [-(2.0**24) - 1, 1e300]]


def test_shapes_are_the_models() -> None:
    """[n, k], [n, 1] or [n]; a row's values go to the inputs in their order."""
    tensors = [
        Tensor("a", "float", (HALF, COUNT), True),
        Tensor("b", "bool", (WEB,), True),
        Tensor("c", "string", (REGION,), False),
    ]
    fed = feeds(tensors, [(0.5, 1, True, "n"), (1.5, 2, False, "s"), (2.5, 3, True, "w")])
    assert {name: (values.shape, values.dtype.kind) for name, values in fed.items()} == {
        "a": ((3, 2), "f"),
        "b": ((3, 1), "b"),
        "c": ((3,), "O"),
    }
    assert fed["c"].tolist() == ["n", "s", "w"]


@pytest.mark.parametrize(
    ("kind", "value", "came"),
    [
        ("int64", None, "got null in 'derived__half'"),
        ("int64", 0.5, "got 0.5 in"),
        ("int64", 2**63, "got 9223372036854775808 in"),
        ("int64", float("nan"), "got nan in"),
        ("bool", None, "got null in"),
        ("bool", 2, "got 2 in"),
        ("string", 1, "got 1 in"),
    ],
)
def test_what_an_input_does_not_hold(kind: Kind, value: Any, came: str) -> None:
    """The message has the type, what it takes and the column."""
    with pytest.raises(DefinitionError, match=f"a model's input of type {kind} takes .*; {came}"):
        feeds([one(kind, HALF)], [(value,)])


NUMBERS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, 1, 2, 2.0, -7.0])
MIXED = st.lists(st.none() | st.booleans(), min_size=1) | st.lists(NUMBERS, min_size=1)


@given(MIXED, st.sampled_from(["float", "double", "int64", "bool"]))
def test_a_table_is_fed_as_its_rows_are(values: list[Any], kind: Kind) -> None:
    """Row by row the same value, or the same reason why there is none."""
    table = pa.table({HALF: from_list(values)})
    tensor = one(kind, HALF)
    fed, unheld = table_feeds(table, PLAN, [tensor])
    for place, row in enumerate(table_rows(table, PLAN, [HALF])):
        try:
            np.testing.assert_array_equal(feeds([tensor], [row])["x"], fed["x"][place : place + 1])
        except DefinitionError as error:
            assert unheld[place] == str(error)  # noqa: PT017
        else:
            assert place not in unheld
