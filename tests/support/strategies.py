"""Hypothesis strategies: small streams in which ties, window ends, nulls, empty windows and hot keys are common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from features.definitions.aggregations import FAMILIES, FUNCTIONS, find
from features.plan import Column, ColumnType, Plan, Source, Stage, WindowFeature
from tests.contract.reference import Event

COLUMNS = (
    Column("id", ColumnType("int64")),
    Column("at", ColumnType("timestamp")),
    Column("card", ColumnType("int64")),
    Column("shop", ColumnType("string")),
    Column("whole", ColumnType("int64")),
    Column("exact", ColumnType("decimal", 12, 2)),
    Column("real", ColumnType("float64")),
    Column("note", ColumnType("string")),
    Column("web", ColumnType("bool")),
    Column("seen", ColumnType("timestamp")),
)
NUMBERS = ("whole", "exact", "real")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(2**40), 2**40) | st.integers(-2, 2),
    "exact": (st.integers(-(10**12) + 1, 10**12 - 1) | st.integers(-2, 2)).map(lambda cents: Decimal(cents).scaleb(-2)),
    "real": st.floats(-1e6, 1e6) | st.sampled_from((0.0, -0.0, 1.0, 0.1)),
    "note": st.sampled_from(("", "a", "A", "ä", "a ")),
    "web": st.booleans(),
    "seen": st.integers(0, 2**42) | st.integers(0, 2),
}
FUNCTIONS_WRITTEN = (*(name for name in FUNCTIONS if name not in FAMILIES), "last_1", "last_3", "p50", "p99_9")
"""Every function as users write it, those with a parameter with two."""

STEP = 500
"""Events are whole steps apart, in milliseconds, or a millisecond off; windows are whole steps."""
DAY = 86_400_000 // STEP
MOMENTS = [
    datetime.fromisoformat(f"{moment}+00:00").astimezone(UTC)
    for moment in (
        "1970-01-01",
        "2020-02-29",
        "2020-03-01",  # a leap day ends
        "2024-02-29",
        "2024-03-10T07:00",  # summer time begins in New York
        "2024-03-31T01:00",  # in Berlin
        "2024-10-27T01:00",  # and ends in Berlin
        "2024-11-03T06:00",  # in New York
        "2100-01-01",
        "2100-03-01",  # no leap year
    )
]
"""Streams are about one of these; a window has the same length everywhere."""


def stage(
    source: str,
    *key: str,
    functions: tuple[str, ...] = FUNCTIONS_WRITTEN,
    columns: tuple[str, ...] = NUMBERS,
    steps: tuple[int, ...] = (2, 5),
    fill: float | None = None,
) -> Stage:
    """What a stage of a plan is, whatever runs it: a source, a key and the functions of the columns that they take."""
    kinds = {column.name: column.type.kind for column in COLUMNS}
    return Stage(
        source,
        key,
        tuple(
            WindowFeature(
                f"{source}_{'_'.join(key)}__{function}_{column}_{length}",
                function,
                column,
                length * STEP,
                fill if find(function).row.empty is None else None,
            )
            for function in functions
            for column in columns
            for length in steps
            if kinds[column] in find(function).row.takes
        ),
    )


PLAN = Plan(
    service="all",
    spine="payments",
    sources=tuple(Source(name, name, COLUMNS, "at", "id", f"{name}.parquet", 0) for name in ("payments", "reports")),
    windows=(
        stage("payments", "card", steps=(5,)),
        stage("payments", "shop", columns=("note", "web", "seen"), steps=(5, DAY)),
        stage("reports", "card", "shop", functions=("count", "sum", "std_samp", "max", "last", "last_3", "p50"), steps=(2, DAY)),
        stage("reports", "shop", functions=("mean", "min", "var_samp", "first", "p99_9"), steps=(2,), fill=0.0),
    ),
    on_demand=(),
    batch=(),
    inputs=(),
    mode="arrival",
    lateness_ms=0,
)
"""Windows over the spine and over another source, by an integer, a text and both, with a fill value and without."""


@st.composite
def streams(draw: st.DrawFn, sources: tuple[str, ...] = ("payments", "reports"), size: int = 40) -> list[Event]:
    """Events in order of arrival, of few cards and shops: in order of time, or most of them late; steps apart, or half days."""
    values = st.fixed_dictionaries({name: st.none() | strategy for name, strategy in VALUES.items()})
    keys = st.fixed_dictionaries({"card": st.integers(1, 2), "shop": st.sampled_from("ab")})
    steps = st.tuples(st.integers(0, 12), st.sampled_from((0, 0, 0, -1, 1)))
    least = draw(st.sampled_from((0, size // 10, size // 2)))
    rows = draw(st.lists(st.tuples(st.sampled_from(sources), steps, keys, values), min_size=least, max_size=size))
    if draw(st.booleans()):
        rows.sort(key=lambda row: row[1])
    unit = draw(st.sampled_from((STEP, DAY * STEP // 2)))
    first = int(draw(st.sampled_from(MOMENTS)).timestamp() * 1000) - 6 * unit
    times = [max(0, first + unit * step + off) for _, (step, off), *_ in rows]
    return [
        Event(source, time, {"id": place, "at": time, **keys, **columns})
        for place, (time, (source, _, keys, columns)) in enumerate(zip(times, rows, strict=True))
    ]


def together(many: Sequence[list[Event]]) -> list[Event]:
    """One stream of many, one after the other, in which each has ids, cards and shops of its own."""
    events = [(number, event) for number, stream in enumerate(many) for event in stream]
    return [
        event._replace(
            columns={
                **event.columns,
                "id": place,
                "card": event.columns["card"] + 10 * number,
                "shop": f"{event.columns['shop']}{number}",
            }
        )
        for place, (number, event) in enumerate(events)
    ]


def same(feature: WindowFeature, got: Any, expected: Any, largest: float) -> bool:
    """As near as rule 7 says, where no value is above ``largest``."""
    if got is None or expected is None:
        return got is expected
    kind = next(c.type.kind for c in COLUMNS if c.name == feature.column)
    row = feature.aggregation.row
    if kind in row.to_the_bit:
        return repr(got) == repr(expected) if kind == "float64" else bool(got == expected)  # -0.0 == 0.0
    if row.name in {"sum", "mean"}:
        return math.isclose(got, expected, rel_tol=row.relative, abs_tol=1e-24 * largest)  # whatever cancels
    got, expected = (x if row.name.startswith("var") else x * x for x in (got, expected))
    spread = math.sqrt(expected) > 1e-6 * largest
    return math.isclose(got, expected, rel_tol=2 * row.relative, abs_tol=0 if spread else 1e-15 * largest**2)
