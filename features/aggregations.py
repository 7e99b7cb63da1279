"""The aggregation functions that every engine computes, one row each."""

from __future__ import annotations

import msgspec

from features.errors import DefinitionError
from features.plan import Column


class Function(msgspec.Struct, frozen=True):
    """What a function takes and gives."""

    takes: frozenset[str]
    """Kinds of column."""
    gives: str
    """A kind, or ``same`` for the column's own type."""
    empty: int | None
    """The value of an empty window (rule 4)."""


NUMERIC = frozenset({"int64", "float64", "decimal"})
ANY = NUMERIC | {"string", "bool", "timestamp"}

FUNCTIONS: dict[str, Function] = {
    "count": Function(ANY, "int64", 0),
    "sum": Function(NUMERIC, "same", 0),
    "mean": Function(NUMERIC, "float64", None),
    "min": Function(NUMERIC, "same", None),
    "max": Function(NUMERIC, "same", None),
}


def check(view: str, name: str, function: str, column: Column) -> Function:
    """The row of ``function``, or a `DefinitionError` that says what can be had instead."""
    if function not in FUNCTIONS:
        raise DefinitionError(
            f"feature '{view}__{name}': the functions are {', '.join(FUNCTIONS)}; got function='{function}'; use one of them"
        )
    row = FUNCTIONS[function]
    if column.type.kind not in row.takes:
        kinds = ", ".join(sorted(row.takes))
        raise DefinitionError(
            f"feature '{view}__{name}': {function} takes a column of kind {kinds}; "
            f"got '{column.name}' of type {column.type}; use count, or another column"
        )
    return row
