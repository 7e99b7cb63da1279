"""How DuckDB computes each function: the values that it aggregates, the aggregates of a frame, and the feature made of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from features.plan import Column, ColumnType
from features.sql.quoting import quoted

SQL_TYPES = {"int64": "BIGINT", "float64": "DOUBLE", "timestamp": "BIGINT", "bool": "BOOLEAN"}


class Aggregate(msgspec.Struct, frozen=True):
    """What is taken over a frame."""

    over: str
    """SQL of a ``{value}``; ``{parameter}`` is the function's."""
    value: str = "plain"
    """Of `VALUES`."""
    has_parameter: bool = False
    """Whether the function's parameter is in it: then it is of one function, and has its name."""


class Function(msgspec.Struct, frozen=True):
    """How DuckDB computes one of `features.definitions.aggregations.FUNCTIONS`, once the frame is there."""

    aggregates: tuple[str, ...]
    """Of `AGGREGATES`."""
    result: Callable[..., str] = lambda _, aggregate: aggregate
    """The feature, from the column's type and the names of the aggregates."""
    of_doubles: tuple[str, ...] = ()
    """The aggregates of a column of doubles, where they are others."""

    def aggregates_of(self, column: ColumnType) -> tuple[str, ...]:
        """The aggregates that it takes of a column of this type."""
        return self.of_doubles if self.of_doubles and column.kind == "float64" else self.aggregates


def sql_type(column: ColumnType) -> str:
    """The DuckDB type of a column, or of a feature."""
    one = f"DECIMAL({column.precision},{column.scale})" if column.kind == "decimal" else SQL_TYPES[column.kind]
    return f"{one}[]" if column.length else one


def _plain(column: Column, *_: object) -> str:
    """Zero has one sign, so that min, max, first and last have the same bits everywhere."""
    name = quoted(column.name)
    return f"{name} + 0.0" if column.type.kind == "float64" else name


def _units(column: Column, *_: object) -> str:
    """A decimal in its smallest units, which are whole. The wide cast: the product of DECIMAL(18) and an integer is one too."""
    name, scale = quoted(column.name), column.type.scale
    return f"CAST(CAST({name} AS DECIMAL(38, {scale})) * {10**scale} AS BIGINT)" if scale else _plain(column)


def _deviation(column: Column, key: str, *_: object) -> str:
    """What a value is above its key's mean: exact where it matters, so that large values with a small variance lose nothing."""
    units = _units(column)
    mean = f"avg({units}) OVER (PARTITION BY {key})"
    return f"{units} - {mean}" if column.type.kind == "float64" else f"CAST({units} - CAST({mean} AS HUGEINT) AS DOUBLE)"


def _recent(column: Column, key: str, time: str, parameter: Decimal) -> str:
    """With each value, the ``parameter`` values of its key that end with it: a frame then takes one list, not its rows."""
    value, name = _plain(column), quoted(column.name)
    frame = f"PARTITION BY {key}, {name} IS NULL ORDER BY {time}, _arrival ROWS BETWEEN {parameter - 1} PRECEDING AND CURRENT ROW"
    return f"CASE WHEN {name} IS NOT NULL THEN list({value}) OVER ({frame}) END"


def _grid(column: Column, key: str, *_: object) -> str:
    """A power of two so small that the key's largest double is a whole number of 90 bits of it."""
    return f"pow(2.0, greatest(ceil(log2(nullif(max(abs({quoted(column.name)})) OVER (PARTITION BY {key}), 0.0))) - 90, -1074))"


def _whole_steps(column: Column, key: str, *_: object) -> str:
    """A double in whole steps of the grid: their sum is exact, whatever cancels."""
    return f"CAST(round({quoted(column.name)} / {_grid(column, key)}) AS HUGEINT)"


def _rest(column: Column, key: str, *_: object) -> str:
    """What the grid is too coarse for: nothing, or of a value 10^11 times as small as the key's largest."""
    name, grid = quoted(column.name), _grid(column, key)
    return f"{name} - round({name} / {grid}) * {grid}"


VALUES: dict[str, Callable[..., str]] = {
    "plain": _plain,
    "units": _units,
    "deviation": _deviation,
    "recent": _recent,
    "grid": _grid,
    "steps": _whole_steps,
    "rest": _rest,
}
"""SQL of what is aggregated, from the column, the stage's key, the time of its source and the function's parameter."""


def _sum(of: ColumnType, *total: str) -> str:
    return f"coalesce({_total(of, *total)}, 0)"


def _mean(of: ColumnType, count: str, *total: str) -> str:
    """One division of two whole numbers, so that every engine rounds alike (rule 7)."""
    rows = f"CAST(nullif({count}, 0) AS DOUBLE)"
    sum_ = f"CAST({_total(of, *total)} AS DOUBLE)" if of.kind == "float64" else _nearest(*total)
    return f"{sum_} / " + (f"({rows} * {10**of.scale})" if of.scale else rows)


def _nearest(whole: str) -> str:
    """A whole number as the nearest double. DuckDB 2.0 rounds one of 128 bits twice: negative ones beyond 2^53 are an ulp off."""
    return f"coalesce(CAST(TRY_CAST({whole} AS BIGINT) AS DOUBLE), CAST(CAST({whole} AS VARCHAR) AS DOUBLE))"


def _total(of: ColumnType, total: str, *of_doubles: str) -> str:
    return "(CAST({} AS DOUBLE) * {} + {})".format(total, *of_doubles) if of.kind == "float64" else total


def _var_pop(of: ColumnType, least: str, most: str, variance: str, *_: str) -> str:
    """Equal values have none, to the bit: an on-demand function may divide by it, or test whether it is 0."""
    return f"CASE WHEN {least} = {most} THEN 0.0 ELSE {variance}{f' / 1e{2 * of.scale}' if of.scale else ''} END"


def _var_samp(of: ColumnType, least: str, most: str, variance: str, count: str) -> str:
    return f"{_var_pop(of, least, most, variance)} * {count} / nullif({count} - 1, 0)"


def _quantile(of: ColumnType, value: str) -> str:
    """The value at the rank, rounded to eight bits (rule 7): Veltkamp's split; above 1e290 it would overflow."""
    x = f"CAST({value} AS DOUBLE)" + (f" / 1e{of.scale}" if of.scale else "")
    rounded = f"({x}) * {2**45 + 1} - (({x}) * {2**45 + 1} - {x})"
    return f"CASE WHEN abs({x}) > 1e290 THEN {x} ELSE {rounded} END" if of.kind == "float64" else rounded


def _last_n(_: ColumnType, recent: str, count: str) -> str:
    """Of the values up to the newest in the frame, those that are in it."""
    return f"coalesce(list_slice({recent}, -{count}, -1), [])"


AGGREGATES: dict[str, Aggregate] = {
    "count": Aggregate("count({value})"),
    "distinct": Aggregate("count(DISTINCT {value})"),
    "sum": Aggregate("sum({value})"),
    "total": Aggregate("sum({value})", "units"),
    "steps": Aggregate("sum({value})", "steps"),
    "grid": Aggregate("max({value})", "grid"),
    "rest": Aggregate("fsum({value})", "rest"),
    "min": Aggregate("min({value})"),
    "max": Aggregate("max({value})"),
    "variance": Aggregate("var_pop({value})", "deviation"),
    "first": Aggregate("first_value({value} IGNORE NULLS)"),
    "last": Aggregate("last_value({value} IGNORE NULLS)"),
    "recent": Aggregate("last_value({value} IGNORE NULLS)", "recent", has_parameter=True),
    # A decimal share, for its rank is computed in integers: as doubles, 100 - 55 % of 100 is below 45.
    "quantile": Aggregate("quantile_disc({value}, {parameter})", "units", has_parameter=True),
}
FLOAT_SUM = ("steps", "grid", "rest")
VARIANCE = ("min", "max", "variance", "count")
FUNCTIONS: dict[str, Function] = {
    "count": Function(("count",)),
    "count_distinct": Function(("distinct",)),
    "sum": Function(("sum",), _sum, FLOAT_SUM),
    "mean": Function(("count", "total"), _mean, ("count", *FLOAT_SUM)),
    "min": Function(("min",)),
    "max": Function(("max",)),
    "var_pop": Function(VARIANCE, _var_pop),
    "var_samp": Function(VARIANCE, _var_samp),
    "std_pop": Function(VARIANCE, lambda *taken: f"sqrt({_var_pop(*taken)})"),
    "std_samp": Function(VARIANCE, lambda *taken: f"sqrt({_var_samp(*taken)})"),
    "first": Function(("first",)),
    "last": Function(("last",)),
    "last_n": Function(("recent", "count"), _last_n),
    "quantile": Function(("quantile",), _quantile),
}
"""Every row of `features.definitions.aggregations.FUNCTIONS`."""
