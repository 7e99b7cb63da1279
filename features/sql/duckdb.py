"""A plan as DuckDB SQL: every window of every asked row of history, in one statement.

The statement reads one table for each source, under the source's name: its columns, the event time as BIGINT milliseconds,
and ``_arrival`` BIGINT, from 0 to 10^17, which orders rows of equal key and time (rule 3). The spine's table has ``_row``
BIGINT too: the number of the asked row, NULL for a row that is only history. The result has ``_row`` and every feature.

Where the view's source is the spine, an asked row is a row of its own windows (rule 2). Where it is another source, the
asked rows are put among its rows with null values, after those of equal time (rule 6).

A frame by RANGE over the time would hold rows of equal time that arrived later, so the frames are over ``_order``, which is
one number for time and arrival, different for each row of a key. (Frames by ROWS, for which the rows of each are counted
first, are as exact and take another sort.)
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from textwrap import indent

import msgspec

from features.definitions.aggregations import find, gives
from features.plan import Column, ColumnType, Plan, Source, Stage, WindowFeature

SQL_TYPES = {"int64": "BIGINT", "float64": "DOUBLE", "timestamp": "BIGINT", "bool": "BOOLEAN"}
MILLISECOND = 10**18
"""In ``_order``. In it are the arrivals of a source, then those of the asked rows among another source's."""
UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


class Aggregate(msgspec.Struct, frozen=True):
    """What is taken over a frame."""

    over: str
    """SQL of a ``{value}``; ``{parameter}`` is the function's."""
    value: str = "plain"
    """Of `VALUES`."""


class Function(msgspec.Struct, frozen=True):
    """How DuckDB computes one of `features.definitions.aggregations.FUNCTIONS`, once the frame is there."""

    aggregates: tuple[str, ...]
    """Of `AGGREGATES`."""
    result: Callable[..., str] = lambda _, aggregate: aggregate
    """The feature, from the column's type and the names of the aggregates."""
    of_doubles: tuple[str, ...] = ()
    """The aggregates of a column of doubles, where they are others."""


def features_sql(plan: Plan) -> str:
    """``_row`` and all window features of the plan, ordered by ``_row``."""
    steps = [step for stage in plan.windows for step in _steps(plan, stage)]
    joins = "".join(f"\nJOIN {_quoted(stage.name)} USING (_row)" for stage in plan.windows)
    names = "".join(f",\n  {_quoted(feature.name)}" for feature in plan.window_features)
    asked = f"SELECT\n  _row{names}\nFROM (SELECT _row FROM {_quoted(plan.spine)} WHERE _row IS NOT NULL){joins}\nORDER BY _row\n"
    return _with(steps) + asked


def windows_sql(plan: Plan, stage: Stage) -> str:
    """``_row`` and the features of one stage, ordered by ``_row``."""
    return _with(_steps(plan, stage)) + f"SELECT *\nFROM {_quoted(stage.name)}\nORDER BY _row\n"


def _with(steps: list[tuple[str, str]]) -> str:
    if not steps:
        return ""
    return "WITH\n" + ",\n".join(f"{name} AS (\n{indent(sql, '  ')}\n)" for name, sql in steps) + "\n"


def _steps(plan: Plan, stage: Stage) -> list[tuple[str, str]]:
    """Rows, what is in their frames, and the features: each a name and a SELECT."""
    rows, frames = (_quoted(f"{stage.name}_{step}") for step in ("rows", "frames"))
    return [
        (rows, _rows(plan, stage)),
        (frames, _frames(plan, stage, rows)),
        (_quoted(stage.name), _features(plan, stage, frames)),
    ]


def _rows(plan: Plan, stage: Stage) -> str:
    """The rows that contribute and the rows that ask, one of a kind where the source is the spine."""
    keys = [f"{_quoted(key)} AS _key_{n}" for n, key in enumerate(stage.key, 1)]
    values = _values(plan, stage)
    ordered = _ordered(plan.source(stage.source), "_arrival")
    if stage.source == plan.spine:
        return _select(["_row", *keys, *ordered, *_named(values)], stage.source)
    contributes = _select(["NULL AS _row", *keys, *ordered, *_named(values)], stage.source)
    last = _ordered(plan.spine_source, f"_arrival + {MILLISECOND // 2}")
    asks = _select(["_row", *keys, *last, *_named(dict.fromkeys(values, "NULL"))], plan.spine)
    return f"{contributes}\nUNION ALL\n{asks}\nWHERE _row IS NOT NULL"


def _ordered(source: Source, arrival: str) -> list[str]:
    """A row's order among those of its millisecond, and among all of its key."""
    return [f"{arrival} AS _among", f"CAST({_quoted(source.time)} AS HUGEINT) * {MILLISECOND} + {arrival} AS _order"]


def _values(plan: Plan, stage: Stage) -> dict[str, str]:
    """What is aggregated: names and SQL."""
    source = plan.source(stage.source)
    key, time = ", ".join(map(_quoted, stage.key)), _quoted(source.time)
    values = {}
    for feature in stage.features:
        column = source.column(feature.column)
        for aggregate in _aggregates(feature, column.type):
            sql = VALUES[AGGREGATES[aggregate].value]
            values[_value(aggregate, column, feature)] = sql(column, key, time, _parameter(feature))
    return values


def _frames(plan: Plan, stage: Stage, rows: str) -> str:
    """The aggregates of every frame, each once, for the rows that ask; a frame begins with its first millisecond (rule 1)."""
    of = plan.source(stage.source).column
    aggregates = dict.fromkeys(
        f"{_aggregate(aggregate, column, feature)} OVER _{_duration(feature.window_ms)} AS {_taken(aggregate, feature)}"
        for feature in stage.features
        for column in [of(feature.column)]
        for aggregate in _aggregates(feature, column.type)
    )
    windows = [
        f"_{_duration(ms)} AS (PARTITION BY {_keys(stage)} ORDER BY _order "
        f"RANGE BETWEEN CAST({ms - 1} AS HUGEINT) * {MILLISECOND} + _among PRECEDING AND CURRENT ROW)"
        for ms in sorted({feature.window_ms for feature in stage.features})
    ]
    return (
        f"SELECT\n  _row,\n{indent(_lines(list(aggregates)), '  ')}\nFROM {rows}\n"
        f"WINDOW\n{indent(_lines(windows), '  ')}\nQUALIFY _row IS NOT NULL"
    )


def _features(plan: Plan, stage: Stage, frames: str) -> str:
    of = plan.source(stage.source).column
    features = [f"{_feature(feature, of(feature.column).type)} AS {_quoted(feature.name)}" for feature in stage.features]
    return f"SELECT\n  _row,\n{indent(_lines(features), '  ')}\nFROM {frames}"


def _feature(feature: WindowFeature, column: ColumnType) -> str:
    result = _function(feature).result(column, *(_taken(aggregate, feature) for aggregate in _aggregates(feature, column)))
    if feature.fill is None:
        return result
    # As it stands, 0.0 is a decimal to DuckDB.
    return f"coalesce({result}, CAST({feature.fill} AS {sql_type(gives(feature.function, column))}))"


def sql_type(column: ColumnType) -> str:
    """The DuckDB type of a column, or of a feature."""
    one = f"DECIMAL({column.precision},{column.scale})" if column.kind == "decimal" else SQL_TYPES[column.kind]
    return f"{one}[]" if column.length else one


def _plain(column: Column, *_: object) -> str:
    """Zero has one sign, so that min, max, first and last have the same bits everywhere."""
    name = _quoted(column.name)
    return f"{name} + 0.0" if column.type.kind == "float64" else name


def _units(column: Column, *_: object) -> str:
    """A decimal in its smallest units, which are whole. The wide cast: the product of DECIMAL(18) and an integer is one too."""
    name, scale = _quoted(column.name), column.type.scale
    return f"CAST(CAST({name} AS DECIMAL(38, {scale})) * {10**scale} AS BIGINT)" if scale else _plain(column)


def _deviation(column: Column, key: str, *_: object) -> str:
    """What a value is above its key's mean: exact where it matters, so that large values with a small variance lose nothing."""
    units = _units(column)
    mean = f"avg({units}) OVER (PARTITION BY {key})"
    return f"{units} - {mean}" if column.type.kind == "float64" else f"CAST({units} - CAST({mean} AS HUGEINT) AS DOUBLE)"


def _recent(column: Column, key: str, time: str, parameter: Decimal) -> str:
    """With each value, the ``parameter`` values of its key that end with it: a frame then takes one list, not its rows."""
    value, name = _plain(column), _quoted(column.name)
    frame = f"PARTITION BY {key}, {name} IS NULL ORDER BY {time}, _arrival ROWS BETWEEN {parameter - 1} PRECEDING AND CURRENT ROW"
    return f"CASE WHEN {name} IS NOT NULL THEN list({value}) OVER ({frame}) END"


def _grid(column: Column, key: str, *_: object) -> str:
    """A power of two so small that the key's largest double is a whole number of 90 bits of it."""
    return f"pow(2.0, greatest(ceil(log2(nullif(max(abs({_quoted(column.name)})) OVER (PARTITION BY {key}), 0.0))) - 90, -1074))"


def _whole_steps(column: Column, key: str, *_: object) -> str:
    """A double in whole steps of the grid: their sum is exact, whatever cancels."""
    return f"CAST(round({_quoted(column.name)} / {_grid(column, key)}) AS HUGEINT)"


def _rest(column: Column, key: str, *_: object) -> str:
    """What the grid is too coarse for: nothing, or of a value 10^11 times as small as the key's largest."""
    name, grid = _quoted(column.name), _grid(column, key)
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
    return f"CAST({_total(of, *total)} AS DOUBLE) / " + (f"({rows} * {10**of.scale})" if of.scale else rows)


def _total(of: ColumnType, total: str, *of_doubles: str) -> str:
    return "(CAST({} AS DOUBLE) * {} + {})".format(total, *of_doubles) if of.kind == "float64" else total


def _var_pop(of: ColumnType, least: str, most: str, variance: str, *_: str) -> str:
    """Equal values have none, to the bit: an on-demand function may divide by it, or ask whether it is 0."""
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
    "recent": Aggregate("last_value({value} IGNORE NULLS)", "recent"),
    # A decimal share, for its rank is computed in integers: as doubles, 100 - 55 % of 100 is below 45.
    "quantile": Aggregate("quantile_disc({value}, {parameter})", "units"),
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


def _function(feature: WindowFeature) -> Function:
    return FUNCTIONS[find(feature.function)[0].name]


def _aggregates(feature: WindowFeature, column: ColumnType) -> tuple[str, ...]:
    function = _function(feature)
    return (column.kind == "float64" and function.of_doubles) or function.aggregates


def _parameter(feature: WindowFeature) -> Decimal:
    return find(feature.function)[1]


def _aggregate(aggregate: str, column: Column, feature: WindowFeature) -> str:
    value = _quoted(_value(aggregate, column, feature))
    return AGGREGATES[aggregate].over.format(value=value, parameter=f"{_parameter(feature):f}")


def _value(aggregate: str, column: Column, feature: WindowFeature) -> str:
    kind = AGGREGATES[aggregate].value
    if kind == "plain" or (kind == "units" and not column.type.scale):
        return column.name
    return f"_{column.name}_{feature.function if kind == 'recent' else kind}"


def _taken(aggregate: str, feature: WindowFeature) -> str:
    name = feature.function if _parameter(feature) and aggregate in {"recent", "quantile"} else aggregate
    return _quoted(f"{name}_{feature.column}_{_duration(feature.window_ms)}")


def _named(values: dict[str, str]) -> list[str]:
    return [sql if sql == _quoted(name) else f"{sql} AS {_quoted(name)}" for name, sql in values.items()]


def _keys(stage: Stage) -> str:
    return ", ".join(f"_key_{n}" for n in range(1, len(stage.key) + 1))


def _duration(ms: int) -> str:
    """``7d`` for a week: in the largest unit that divides it."""
    return next(f"{ms // size}{unit}" for unit, size in UNITS.items() if ms % size == 0)


def _select(columns: list[str], table: str) -> str:
    return f"SELECT\n{indent(_lines(columns), '  ')}\nFROM {_quoted(table)}"


def _lines(items: list[str]) -> str:
    return ",\n".join(items)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
