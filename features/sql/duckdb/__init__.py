"""A plan as DuckDB SQL: every window of every query of history, in one statement for each stage, or one for all.

A statement reads one table for each source, under the source's name: its columns, the event time as BIGINT milliseconds,
and ``_arrival`` BIGINT, from 0 to 10^17, which orders rows of equal key and time (rule 3). The spine's table has ``_row``
BIGINT too: the number of a query, NULL for a row that is only history. The result has ``_row`` and every feature.

Where the view's source is the spine, a query is a row of its own windows (rule 2). Where it is another source, the queries are
put among its rows with null values, after those of equal time (rule 6).

A frame by RANGE over the time would hold rows of equal time that arrived later, so the frames are over ``_order``, which is
one number for time and arrival, different for each row of a key. (Frames by ROWS, for which the rows of each are counted
first, are as exact and take another sort.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from textwrap import indent

import msgspec

from features.plan import Column, Plan, Source, Stage, WindowFeature
from features.sql.duckdb.functions import AGGREGATES, FUNCTIONS, VALUES, sql_type
from features.sql.quoting import quoted
from features.times import duration_text

__all__ = ["features_sql", "windows_sql"]

MILLISECOND = 10**18
"""In ``_order``. In it are the arrivals of a source, then those of the queries among another source's rows."""


def features_sql(plan: Plan) -> str:
    """``_row`` and all window features of the plan, ordered by ``_row``."""
    steps = [step for stage in plan.windows for step in _steps(plan, stage)]
    joins = "".join(f"\nJOIN {quoted(stage.name)} USING (_row)" for stage in plan.windows)
    names = "".join(f",\n  {quoted(feature.name)}" for feature in plan.window_features)
    queries = f"(SELECT _row FROM {quoted(plan.spine)} WHERE _row IS NOT NULL)"
    return _with(steps) + f"SELECT\n  _row{names}\nFROM {queries}{joins}\nORDER BY _row\n"


def windows_sql(plan: Plan, stage: Stage) -> str:
    """``_row`` and the features of one stage, ordered by ``_row``."""
    return _with(_steps(plan, stage)) + f"SELECT *\nFROM {quoted(stage.name)}\nORDER BY _row\n"


def _with(steps: list[tuple[str, str]]) -> str:
    if not steps:
        return ""
    return "WITH\n" + ",\n".join(f"{name} AS (\n{indent(sql, '  ')}\n)" for name, sql in steps) + "\n"


def _steps(plan: Plan, stage: Stage) -> list[tuple[str, str]]:
    """Rows, the aggregates of their frames, and the features: each a name and a SELECT."""
    rows, frames = (quoted(f"{stage.name}_{step}") for step in ("rows", "frames"))
    return [
        (rows, _rows(plan, stage)),
        (frames, _frames(plan, stage, rows)),
        (quoted(stage.name), _features(plan, stage, frames)),
    ]


class Taken(msgspec.Struct, frozen=True):
    """An aggregate over the frames of a window. Features that are made of the same one share it, by its name."""

    aggregate: str
    """Of `AGGREGATES`."""
    feature: WindowFeature
    """One that is made of it."""
    column: Column

    @property
    def name(self) -> str:
        """Its name: ``count_amount_7d``, ``p99_amount_7d``."""
        by = self.feature.function if AGGREGATES[self.aggregate].has_parameter else self.aggregate
        return f"{by}_{self.column.name}_{duration_text(self.feature.window_ms)}"

    @property
    def over(self) -> str:
        """SQL of it over a frame."""
        parameter = self.feature.aggregation.parameter
        written = "" if parameter is None else f"{parameter:f}"
        return AGGREGATES[self.aggregate].over.format(value=quoted(self.value), parameter=written)

    @property
    def value(self) -> str:
        """The name of what is aggregated: the column's own where it is taken as it is."""
        kind = AGGREGATES[self.aggregate].value
        if kind == "plain" or (kind == "units" and not self.column.type.scale):
            return self.column.name
        return f"_{self.column.name}_{self.feature.function if kind == 'recent' else kind}"

    def value_sql(self, key: str, time: str) -> str:
        """SQL of what is aggregated, from a row of the source."""
        return VALUES[AGGREGATES[self.aggregate].value](self.column, key, time, self.feature.aggregation.parameter)


def _taken(plan: Plan, stage: Stage, feature: WindowFeature) -> list[Taken]:
    """What a feature is made of, in the order in which its function takes them."""
    column = plan.source(stage.source).column(feature.column)
    return [Taken(name, feature, column) for name in FUNCTIONS[feature.aggregation.function].aggregates_of(column.type)]


def _all_taken(plan: Plan, stage: Stage) -> Iterator[Taken]:
    return (taken for feature in stage.features for taken in _taken(plan, stage, feature))


def _rows(plan: Plan, stage: Stage) -> str:
    """The rows that contribute and the queries; a row of the spine's own windows is both."""
    source = plan.source(stage.source)
    key, time = ", ".join(map(quoted, stage.key)), quoted(source.time)
    keys = [f"{quoted(name)} AS _key_{number}" for number, name in enumerate(stage.key, 1)]
    values = {taken.value: taken.value_sql(key, time) for taken in _all_taken(plan, stage)}
    ordered = _ordered(source, "_arrival")
    if stage.source == plan.spine:
        return _select(["_row", *keys, *ordered, *_named(values)], stage.source)
    contributing = _select(["NULL AS _row", *keys, *ordered, *_named(values)], stage.source)
    last = _ordered(plan.spine_source, f"_arrival + {MILLISECOND // 2}")
    queries = _select(["_row", *keys, *last, *_named(dict.fromkeys(values, "NULL"))], plan.spine)
    return f"{contributing}\nUNION ALL\n{queries}\nWHERE _row IS NOT NULL"


def _ordered(source: Source, arrival: str) -> list[str]:
    """A row's order among those of its millisecond, and among all of its key."""
    return [f"{arrival} AS _among", f"CAST({quoted(source.time)} AS HUGEINT) * {MILLISECOND} + {arrival} AS _order"]


def _named(values: Mapping[str, str]) -> list[str]:
    return [sql if sql == quoted(name) else f"{sql} AS {quoted(name)}" for name, sql in values.items()]


def _frames(plan: Plan, stage: Stage, rows: str) -> str:
    """The aggregates of every frame, each once, for the queries."""
    aggregates = {
        taken.name: f"{taken.over} OVER {_frame(taken.feature.window_ms)} AS {quoted(taken.name)}"
        for taken in _all_taken(plan, stage)
    }
    key = ", ".join(f"_key_{number}" for number, _ in enumerate(stage.key, 1))
    frames = [_frame_definition(key, length) for length in sorted({feature.window_ms for feature in stage.features})]
    return f"SELECT\n  _row,\n{_lines(aggregates.values())}\nFROM {rows}\nWINDOW\n{_lines(frames)}\nQUALIFY _row IS NOT NULL"


def _frame(window_ms: int) -> str:
    return f"_{duration_text(window_ms)}"


def _frame_definition(key: str, window_ms: int) -> str:
    """The frame of a row: it begins with the first arrival of its first millisecond (rule 1), and ends with the row (rule 3)."""
    start = f"CAST({window_ms - 1} AS HUGEINT) * {MILLISECOND} + _among"
    return f"{_frame(window_ms)} AS (PARTITION BY {key} ORDER BY _order RANGE BETWEEN {start} PRECEDING AND CURRENT ROW)"


def _features(plan: Plan, stage: Stage, frames: str) -> str:
    """The features, made of their aggregates."""
    features = [f"{_feature(plan, stage, feature)} AS {quoted(feature.name)}" for feature in stage.features]
    return f"SELECT\n  _row,\n{_lines(features)}\nFROM {frames}"


def _feature(plan: Plan, stage: Stage, feature: WindowFeature) -> str:
    column = plan.source(stage.source).column(feature.column).type
    names = [quoted(taken.name) for taken in _taken(plan, stage, feature)]
    result = FUNCTIONS[feature.aggregation.function].result(column, *names)
    if feature.fill is None:
        return result
    # As it stands, 0.0 is a decimal to DuckDB.
    return f"coalesce({result}, CAST({feature.fill} AS {sql_type(feature.aggregation.gives(column))}))"


def _select(columns: Iterable[str], table: str) -> str:
    return f"SELECT\n{_lines(columns)}\nFROM {quoted(table)}"


def _lines(items: Iterable[str]) -> str:
    return ",\n".join(f"  {item}" for item in items)
