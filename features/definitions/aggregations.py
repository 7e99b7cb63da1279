"""The aggregation functions that every engine computes, one row each. How an engine computes them is the engine's affair."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, NoReturn

import msgspec

from features.errors import DefinitionError

if TYPE_CHECKING:  # a plan's features hold what is parsed here
    from features.plan import Column, ColumnType, WindowFeature

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


class Aggregation(msgspec.Struct, frozen=True):
    """A function as a feature has it: what a user wrote, parsed."""

    row: Function
    parameter: Decimal | None = None
    """The n of ``last_<n>``, the share of ``p<percent>``; None where the function has none."""

    @property
    def function(self) -> str:
        """The name of its row, by which the engines know it."""
        return self.row.name

    def gives(self, column: ColumnType) -> ColumnType:
        """The type of the feature that it makes of a column of this type."""
        if self.row.gives == "same":
            return column
        if self.row.gives == "list":
            return msgspec.structs.replace(column, length=int(self.parameter or 0))
        return msgspec.structs.replace(column, kind=self.row.gives, precision=0, scale=0)

    def relative(self, column: ColumnType) -> float:
        """How far apart two engines' values may be, of the larger one; 0 where they are the same to the bit (rule 7)."""
        return 0.0 if column.kind in self.row.to_the_bit else self.row.relative


def find(function: str) -> Aggregation:
    """What a function is that a user wrote. Raises `LookupError` with what to write instead.

    `features.plan.WindowFeature.aggregation` holds it for a feature.

    >>> find("p99_9").parameter, find("last_10").function
    (Decimal('0.999'), 'last_n')
    """
    for family, (_, written) in FAMILIES.items():
        match = written.fullmatch(function)
        if match:
            return Aggregation(FUNCTIONS[family], _parameter(**match.groupdict()))
    if function in FUNCTIONS and function not in FAMILIES:
        return Aggregation(FUNCTIONS[function])
    raise LookupError(next((f"write {instead}" for name, instead in INSTEAD if re.fullmatch(name, function)), "use one of them"))


def _parameter(n: str | None = None, whole: str | None = None, part: str | None = None) -> Decimal:
    """A number of values as it is, a percentage as a share."""
    return Decimal(n) if n else Decimal(f"{whole}.{part or 0}") / 100


def check(feature: WindowFeature, column: Column) -> None:
    """Raise a `DefinitionError` with what can be had instead, for an unknown function and one that does not take ``column``."""
    try:
        aggregation = feature.aggregation
    except LookupError as unknown:
        _refuse(feature, f"the functions are {', '.join(written())}; got function='{feature.function}'; {unknown}")
    takes = aggregation.row.takes
    if column.type.kind not in takes:
        others = ", ".join(f for f in ("count", "count_distinct", "last") if column.type.kind in FUNCTIONS[f].takes)
        came = f"got '{column.name}' of type {column.type}; use {others}, or another column"
        _refuse(feature, f"{feature.function} takes a column of kind {', '.join(sorted(takes))}; {came}")


def written() -> list[str]:
    """All functions, as users write them."""
    return [FAMILIES[name][0] if name in FAMILIES else name for name in FUNCTIONS]


def _refuse(feature: WindowFeature, why: str) -> NoReturn:
    raise DefinitionError(f"feature '{feature.name}': {why}")
