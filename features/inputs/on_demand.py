"""On-demand functions: called with whole columns, and what they give checked, whoever calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np

from features.errors import DefinitionError
from features.plan import OnDemand
from features.service import Function
from schemas.features import Value

Column = TypeVar("Column")
PLAIN = frozenset({int, float, bool, type(None)})
NO_COLUMNS = (set, frozenset, Mapping, str, bytes)
"""They have a length, and are no column all the same."""


def call(
    view: OnDemand,
    function: Function,
    event: Mapping[str, Column],
    features: Mapping[str, Column],
    to_list: Callable[[Column], list[Any]],
    rows: int,
) -> dict[str, list[Value]]:
    """The view's features of ``rows`` events, by full name: ints, floats, booleans and None, whatever the function makes them of.

    ``event`` has the columns of the events and ``features`` the features by full name. ``to_list`` makes of one a list of Python
    values, which is the function's own. Raises `DefinitionError` where the function raises, or gives anything but a number for
    each event.
    """
    given = {name: to_list(event[name]) for name in view.event_inputs}
    given |= {seen: to_list(features[full]) for seen, full in view.feature_inputs}
    try:
        made = function(given)
    except Exception as error:  # the user's code: it may raise anything
        raise DefinitionError(
            f"on-demand view '{view.view}': a function takes what its inputs may hold, None for null too; "
            f"it raised {type(error).__name__}: {error}; fix the function"
        ) from error
    outputs = made if isinstance(made, (dict, Mapping)) else {}  # dict first: it is quick to tell
    found = {}
    for output in view.outputs:
        column = outputs.get(output)
        if type(column) is not list or len(column) != rows or not PLAIN.issuperset(map(type, column)):
            column = _numbers(view, output, column, rows)
        found[f"{view.view}__{output}"] = column
    return found


def _numbers(view: OnDemand, output: str, column: Any, rows: int) -> list[Value]:
    """``column`` as a list of Python's own numbers, so that a receipt, a file and a matrix say the same of it."""
    count = _count(column)
    if count != rows:
        came = "no such output" if column is None else f"a {type(column).__name__}" if count is None else f"{count} values"
        raise DefinitionError(
            f"on-demand view '{view.view}': output '{output}' has a value for each of {rows} events; got {came}; "
            "return a dict of lists as long as the inputs"
        )
    numbers = [_number(value) for value in column]
    others = {type(value).__name__ for value in numbers if type(value) not in PLAIN}
    if others:
        raise DefinitionError(
            f"on-demand view '{view.view}': output '{output}' has int, float, bool or None for each event; "
            f"got {', '.join(sorted(others))}; make a number of it"
        )
    return numbers


def _count(column: Any) -> int | None:
    """How many values a column has; None where it is none: a set has no order, a generator no length."""
    if isinstance(column, NO_COLUMNS) or not hasattr(column, "__len__"):
        return None
    try:
        return len(column)
    except TypeError:  # an array of no dimension
        return None


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return float(value) if isinstance(value, Decimal) and not value.is_snan() else value
