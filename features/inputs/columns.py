"""The columns of a model's input: a feature that is a number is one, a list is as many as the values that it may have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from features.definitions import rules
from features.errors import DefinitionError
from features.plan import ColumnType, Plan

Value = TypeVar("Value")


def all_features(plan: Plan) -> tuple[str, ...]:
    """Every feature that the plan computes, by full name."""
    given = [feature.name for feature in plan.window_features]
    given += [f"{view.view}__{output}" for view in plan.on_demand for output in view.outputs]
    return (*given, *(f"{view.view}__{feature}" for view in plan.batch for feature in view.features))


def input_columns(plan: Plan, inputs: Sequence[str]) -> tuple[str, ...]:
    """``inputs`` with each list in place of its name as its columns: ``<feature>_1``, the oldest, to ``<feature>_<length>``."""
    columns = columns_of(plan)
    return tuple(column for name in inputs for column in columns.get(name, (name,)))


def features_of(plan: Plan, columns: Iterable[str]) -> tuple[str, ...]:
    """The features that ``columns`` are of, each once."""
    of_lists = list_columns(plan)
    return tuple(dict.fromkeys(of_lists[name][0] if name in of_lists else name for name in columns))


def columns_of(plan: Plan) -> dict[str, tuple[str, ...]]:
    """The columns of each list, oldest first."""
    columns: dict[str, tuple[str, ...]] = {}
    for column, (feature, _) in list_columns(plan).items():
        columns[feature] = (*columns.get(feature, ()), column)
    return columns


def list_columns(plan: Plan) -> dict[str, tuple[str, int]]:
    """For each column that is of a list: the feature, and the value's place from its end.

    From the end, so that the newest value is in the last column however many there are, and what is missing is missing first.
    """
    lengths = {name: kind.length for name, kind in window_types(plan).items()}
    return {
        f"{name}_{number}": (name, number - 1 - length) for name, length in lengths.items() for number in range(1, length + 1)
    }


def window_types(plan: Plan) -> dict[str, ColumnType]:
    """The type of each window feature."""
    return {
        feature.name: feature.aggregation.gives(plan.source(stage.source).column(feature.column).type)
        for stage in plan.windows
        for feature in stage.features
    }


def check_inputs(plan: Plan, inputs: Sequence[str]) -> None:
    """Raises `DefinitionError` where a model's input is not a feature of the plan, or is a time. Lists are their columns here."""
    where, given = f"service '{plan.service}'", set(input_columns(plan, all_features(plan)))
    missing = [name for name in inputs if name not in given]
    if missing:
        raise DefinitionError(
            f"{where}: every input of a model is a feature of the plan; got {', '.join(missing)}; "
            "add it to the service, or train a model without it"
        )
    rules.check_time_inputs(where, features_of(plan, inputs), window_types(plan))


def at(values: Sequence[Value], place: int) -> Value | None:
    """The value at a place from the end, None where the list is shorter.

    >>> [at([4, 5], place) for place in (-3, -2, -1)]
    [None, 4, 5]
    """
    return values[place] if len(values) >= -place else None
