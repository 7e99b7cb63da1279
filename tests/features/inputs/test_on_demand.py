"""On-demand functions: what they are given, and what they may give."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import DefinitionError
from features.inputs.on_demand import call
from features.plan import OnDemand

VIEW = OnDemand("derived", ("price",), (("mean", "shops__mean"),), ("x",), "0")


def made(function: Callable[[Any], Any]) -> list[Any]:
    """What the view's one feature is, of three events."""
    return call(VIEW, function, {"price": (1.0, None, 3.0)}, {"shops__mean": (2, 4, 6)}, list, 3)["derived__x"]


def test_a_function_is_given_lists_under_its_own_names() -> None:
    """Whole columns, None for null."""
    given: list[Any] = []
    made(lambda columns: given.append(columns) or {"x": [1, 2, 3]})  # type: ignore[func-returns-value]
    assert given == [{"price": [1.0, None, 3.0], "mean": [2, 4, 6]}]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ([1, True, None], [1, True, None]),
        ((0.5, 1, 2), [0.5, 1, 2]),
        ([np.float32(0.5), np.int64(2**53 + 1), np.bool_(True)], [0.5, 2**53 + 1, True]),
        (np.array([1, 2, 3]), [1, 2, 3]),
        (pd.Series([0.5, 1.5, 2.5]), [0.5, 1.5, 2.5]),
        ([Decimal("0.1"), None, 2**70], [0.1, None, 2**70]),
    ],
)
def test_what_is_given_is_pythons_own_numbers(column: Any, values: list[Any]) -> None:
    """Lists, tuples, arrays and series of numbers, of numpy's too, are lists of int, float, bool and None."""
    found = made(lambda _: {"x": column})
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda _: {"x": [1, 2]}, "a value for each of 3 events; got 2 values"),
        (lambda _: {"y": [1, 2, 3]}, "got no such output"),
        (lambda _: None, "got no such output"),
        (lambda _: {"x": [1, "2", None]}, "has int, float, bool or None for each event; got str"),
        (lambda columns: {"x": [price + 1 for price in columns["price"]]}, "it raised TypeError: .*; fix the function"),
    ],
)
def test_another_output_is_refused(function: Callable[[Any], Any], message: str) -> None:
    """The error names the view, the rule, and what came."""
    with pytest.raises(DefinitionError, match=f"on-demand view 'derived': .*{message}"):
        made(function)
