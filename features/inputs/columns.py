"""The columns of a model's matrix: a feature that is a number is one, a list is as many as the values that it may have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from features.plan import Plan

Value = TypeVar("Value")


def input_columns(plan: Plan, inputs: Sequence[str]) -> tuple[str, ...]:
    """``inputs`` with each list in place of its name as its columns: ``<feature>_1``, the oldest, to ``<feature>_<length>``."""
    columns: dict[str, list[str]] = {}
    for column, (feature, _) in list_columns(plan).items():
        columns.setdefault(feature, []).append(column)
    return tuple(column for name in inputs for column in columns.get(name, [name]))


def list_columns(plan: Plan) -> dict[str, tuple[str, int]]:
    """For each column that is of a list: the feature, and the value's place from its end.

    From the end, so that the newest value is in the last column however many there are, and what is missing is missing first.
    """
    lengths = {
        feature.name: feature.aggregation.gives(plan.source(stage.source).column(feature.column).type).length
        for stage in plan.windows
        for feature in stage.features
    }
    return {
        f"{name}_{number}": (name, number - 1 - length) for name, length in lengths.items() for number in range(1, length + 1)
    }


def at(values: Sequence[Value], place: int) -> Value | None:
    """The value at a place from the end, None where the list is shorter.

    >>> [at([4, 5], place) for place in (-3, -2, -1)]
    [None, 4, 5]
    """
    return values[place] if len(values) >= -place else None
