"""The aggregation functions that every engine computes, one row each. How an engine computes them is the engine's affair."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NoReturn

import msgspec

from features.errors import DefinitionError
from features.plan import Column, ColumnType

EXACT = frozenset({"int64", "decimal"})
NUMERIC = EXACT | {"float64"}
SIMPLE = NUMERIC | {"bool", "timestamp"}
ANY = SIMPLE | {"string"}


class Function(msgspec.Struct, frozen=True):
    """What a function takes and gives, and how exact it is."""

    name: str
    """What users write, or the name of a family of functions with a parameter, of `FAMILIES`."""
    takes: frozenset[str]
    """Kinds of column."""
    gives: str
    """A kind, ``same`` for the column's own type, or ``list`` for a list of it, as long as the parameter."""
    empty: int | tuple[()] | None = None
    """The value of an empty window (rule 4); only null can be filled."""
    to_the_bit: frozenset[str] = ANY
    """Kinds of column of which all engines give the same bits (rule 7)."""
    relative: float = 0.0
    """How far apart engines may be for other kinds."""


FUNCTIONS: dict[str, Function] = {
    row.name: row
    for row in (
        Function("count", ANY, "int64", empty=0),
        Function("count_distinct", ANY, "int64", empty=0),
        Function("sum", NUMERIC, "same", empty=0, to_the_bit=EXACT, relative=1e-12),
        Function("mean", NUMERIC, "float64", to_the_bit=EXACT, relative=1e-12),
        Function("min", NUMERIC, "same"),
        Function("max", NUMERIC, "same"),
        Function("var_pop", NUMERIC, "float64", to_the_bit=frozenset(), relative=1e-9),
        Function("var_samp", NUMERIC, "float64", to_the_bit=frozenset(), relative=1e-9),
        Function("std_pop", NUMERIC, "float64", to_the_bit=frozenset(), relative=1e-9),
        Function("std_samp", NUMERIC, "float64", to_the_bit=frozenset(), relative=1e-9),
        Function("first", SIMPLE, "same"),
        Function("last", SIMPLE, "same"),
        Function("last_n", SIMPLE, "list", empty=()),
        Function("quantile", NUMERIC, "float64"),
    )
}

FAMILIES = {
    "last_n": ("last_<n>", re.compile(r"last_(?P<n>[1-9][0-9]?|100)")),
    "quantile": ("p<percent>", re.compile(r"p(?!0$)(?P<whole>0|[1-9][0-9]?)(_(?P<part>[0-9]{0,3}[1-9]))?")),
}
"""How users write a function that has a parameter: ``last_10``, ``p99``, ``p99_9``."""

INSTEAD = (
    (r"std|stddev|stdev|std_?dev.*", "std_pop or std_samp"),
    (r"var|variance", "var_pop or var_samp"),
    (r"avg|average", "mean"),
    (r"median", "p50"),
    (r"(approx_?)?(count_?)?(distinct|unique)|nunique|approx_count_distinct|.*hll.*|cardinality", "count_distinct"),
    (r"last_?\d*n?|latest", "last, or last_1 to last_100"),
    (r"first_?\d*n?|earliest", "first"),
    (r"p_?0+|p(_?0+)+", "min, or p0_1, say"),
    (r"p_?100", "max, or p99_9, say"),
    (r"p.*\d.*|.*quantile.*|.*percentile.*|approx_.*", "p1 to p99, or p99_9 for 99.9 %"),
)
"""What is meant by names that other systems have: the first pattern that fits."""


def find(function: str) -> tuple[Function, Decimal]:
    """The row of a function as users write it, and its parameter: the n of ``last_<n>``, the share of ``p<percent>``, else 0.

    Raises `LookupError` with what to write instead.

    >>> find("p99_9")[1], find("last_10")[0].name
    (Decimal('0.999'), 'last_n')
    """
    for family, (_, written) in FAMILIES.items():
        match = written.fullmatch(function)
        if match:
            parts = match.groupdict()
            number = parts.get("n") or f"{parts['whole']}.{parts['part'] or 0}"
            return FUNCTIONS[family], Decimal(number) / (1 if family == "last_n" else 100)
    if function in FUNCTIONS and function not in FAMILIES:
        return FUNCTIONS[function], Decimal(0)
    raise LookupError(next((f"write {instead}" for name, instead in INSTEAD if re.fullmatch(name, function)), "use one of them"))


def gives(function: str, column: ColumnType) -> ColumnType:
    """The type of the feature that ``function`` of a column of this type is."""
    row, parameter = find(function)
    if row.gives == "same":
        return column
    return msgspec.structs.replace(column, length=int(parameter)) if row.gives == "list" else ColumnType(row.gives)  # type: ignore[arg-type]


def relative(function: str, column: ColumnType) -> float:
    """How far apart two engines' values may be, of the larger one; 0 where they are the same to the bit (rule 7)."""
    row, _ = find(function)
    return 0.0 if column.kind in row.to_the_bit else row.relative


def check(view: str, name: str, function: str, column: Column) -> Function:
    """The row of ``function``, or a `DefinitionError` that says what can be had instead."""
    try:
        row, _ = find(function)
    except LookupError as unknown:
        _refuse(view, name, f"the functions are {', '.join(written())}; got function='{function}'; {unknown}")
    if column.type.kind not in row.takes:
        kinds = ", ".join(sorted(row.takes))
        others = ", ".join(f for f in ("count", "count_distinct", "last") if column.type.kind in FUNCTIONS[f].takes)
        came = f"got '{column.name}' of type {column.type}; use {others}, or another column"
        _refuse(view, name, f"{function} takes a column of kind {kinds}; {came}")
    return row


def written() -> list[str]:
    """All functions, as users write them."""
    return [FAMILIES[name][0] if name in FAMILIES else name for name in FUNCTIONS]


def _refuse(view: str, name: str, why: str) -> NoReturn:
    raise DefinitionError(f"feature '{view}__{name}': {why}")
