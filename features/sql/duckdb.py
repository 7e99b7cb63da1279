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
from textwrap import indent

import msgspec

from features import aggregations
from features.plan import Column, ColumnType, Plan, Source, WindowFeature, Windows

SQL_TYPES = {"int64": "BIGINT", "float64": "DOUBLE"}
MILLISECOND = 10**18
"""In ``_order``. In it are the arrivals of a source, then those of the asked rows among another source's."""
UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


class Function(msgspec.Struct, frozen=True):
    """How DuckDB computes one of `features.aggregations.FUNCTIONS`, once the frame is there."""

    aggregates: tuple[str, ...]
    """What is taken over the frame."""
    result: Callable[..., str]
    """The feature, from the column's type and the names of the aggregates."""


def features_sql(plan: Plan) -> str:
    """``_row`` and all window features of the plan, ordered by ``_row``."""
    steps = [step for stage in plan.windows for step in _steps(plan, stage)]
    joins = "".join(f"\nJOIN {_quoted(stage.name)} USING (_row)" for stage in plan.windows)
    names = "".join(f",\n  {_quoted(feature.name)}" for feature in plan.window_features)
    asked = f"SELECT\n  _row{names}\nFROM (SELECT _row FROM {_quoted(plan.spine)} WHERE _row IS NOT NULL){joins}\nORDER BY _row\n"
    return _with(steps) + asked


def windows_sql(plan: Plan, stage: Windows) -> str:
    """``_row`` and the features of one stage, ordered by ``_row``."""
    return _with(_steps(plan, stage)) + f"SELECT *\nFROM {_quoted(stage.name)}\nORDER BY _row\n"


def _with(steps: list[tuple[str, str]]) -> str:
    if not steps:
        return ""
    return "WITH\n" + ",\n".join(f"{name} AS (\n{indent(sql, '  ')}\n)" for name, sql in steps) + "\n"


def _steps(plan: Plan, stage: Windows) -> list[tuple[str, str]]:
    """Rows, what is in their frames, and the features: each a name and a SELECT."""
    rows, frames = (_quoted(f"{stage.name}_{step}") for step in ("rows", "frames"))
    return [
        (rows, _rows(plan, stage)),
        (frames, _frames(plan, stage, rows)),
        (_quoted(stage.name), _features(plan, stage, frames)),
    ]


def _rows(plan: Plan, stage: Windows) -> str:
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


def _values(plan: Plan, stage: Windows) -> dict[str, str]:
    """What is aggregated: names and SQL."""
    of = plan.source(stage.source).column
    taken = [
        (aggregate, of(feature.column)) for feature in stage.features for aggregate in FUNCTIONS[feature.function].aggregates
    ]
    return {
        _value(aggregate, column): _units(column) if aggregate == "total" else _quoted(column.name) for aggregate, column in taken
    }


def _frames(plan: Plan, stage: Windows, rows: str) -> str:
    """The aggregates of every frame, each once, for the rows that ask; a frame begins with its first millisecond (rule 1)."""
    of = plan.source(stage.source).column
    aggregates = dict.fromkeys(
        f"{_aggregate(aggregate, column)} OVER _{_duration(feature.window_ms)} AS {_taken(aggregate, feature)}"
        for feature in stage.features
        for column in [of(feature.column)]
        for aggregate in FUNCTIONS[feature.function].aggregates
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


def _features(plan: Plan, stage: Windows, frames: str) -> str:
    of = plan.source(stage.source).column
    features = [f"{_feature(feature, of(feature.column))} AS {_quoted(feature.name)}" for feature in stage.features]
    return f"SELECT\n  _row,\n{indent(_lines(features), '  ')}\nFROM {frames}"


def _feature(feature: WindowFeature, column: Column) -> str:
    function = FUNCTIONS[feature.function]
    result = function.result(column.type, *(_taken(aggregate, feature) for aggregate in function.aggregates))
    return result if feature.fill is None else f"coalesce({result}, {_fill(feature, column)})"


def _fill(feature: WindowFeature, column: Column) -> str:
    """The fill value in the feature's type: as it stands, 0.0 is a decimal to DuckDB."""
    gives = aggregations.FUNCTIONS[feature.function].gives
    result = str(column.type) if gives == "same" else gives
    return f"CAST({feature.fill} AS {SQL_TYPES.get(result, result.upper())})"


def _sum(of: ColumnType, total: str) -> str:
    return f"CAST(coalesce({total}, 0) AS BIGINT)" if of.kind == "int64" else f"coalesce({total}, 0)"


def _mean(of: ColumnType, count: str, total: str) -> str:
    """One division of two whole numbers, so that every engine rounds alike (rule 7)."""
    rows = f"CAST(nullif({count}, 0) AS DOUBLE)"
    return f"CAST({total} AS DOUBLE) / " + (f"({rows} * {10**of.scale})" if of.scale else rows)


FUNCTIONS: dict[str, Function] = {
    "count": Function(("count",), lambda _, count: count),
    "sum": Function(("sum",), _sum),
    "mean": Function(("count", "total"), _mean),
    "min": Function(("min",), lambda _, least: least),
    "max": Function(("max",), lambda _, most: most),
}
"""Every row of `features.aggregations.FUNCTIONS`; ``total`` is a sum in a decimal's smallest units, which are whole."""


def _aggregate(aggregate: str, column: Column) -> str:
    """Floats are added with ``fsum``, a compensated sum."""
    name = aggregate if aggregate not in {"sum", "total"} else "fsum" if column.type.kind == "float64" else "sum"
    return f"{name}({_quoted(_value(aggregate, column))})"


def _value(aggregate: str, column: Column) -> str:
    return f"_{column.name}_units" if aggregate == "total" and column.type.scale else column.name


def _units(column: Column) -> str:
    name = _quoted(column.name)
    scale = column.type.scale  # the wide cast, for the product of DECIMAL(18) and an integer is a DECIMAL(18) too
    return f"CAST(CAST({name} AS DECIMAL(38, {scale})) * {10**scale} AS BIGINT)" if scale else name


def _taken(aggregate: str, feature: WindowFeature) -> str:
    return _quoted(f"{aggregate}_{feature.column}_{_duration(feature.window_ms)}")


def _named(values: dict[str, str]) -> list[str]:
    return [sql if sql == _quoted(name) else f"{sql} AS {_quoted(name)}" for name, sql in values.items()]


def _keys(stage: Windows) -> str:
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
