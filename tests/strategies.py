"""Hypothesis strategies: small streams in which ties, window ends, nulls and empty windows are common."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from features.aggregations import FUNCTIONS
from features.plan import Column, ColumnType, Plan, Source, WindowFeature, Windows
from tests.reference import Event

COLUMNS = (
    Column("id", ColumnType("int64")),
    Column("at", ColumnType("timestamp")),
    Column("card", ColumnType("int64")),
    Column("shop", ColumnType("string")),
    Column("whole", ColumnType("int64")),
    Column("exact", ColumnType("decimal", 12, 2)),
    Column("real", ColumnType("float64")),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(2**40), 2**40),
    "exact": st.integers(-(10**12) + 1, 10**12 - 1).map(lambda cents: Decimal(cents).scaleb(-2)),
    "real": st.floats(-1e6, 1e6),
}
STEP = 500
"""Events are this far apart, in milliseconds, or at the same time; windows are whole steps."""


def stage(source: str, *key: str, functions: tuple[str, ...] = tuple(FUNCTIONS), fill: float | None = None) -> Windows:
    """The functions of every column over two windows."""
    return Windows(
        source,
        key,
        tuple(
            WindowFeature(
                f"{source}_{'_'.join(key)}__{function}_{column}_{length}",
                function,
                column,
                length * STEP,
                None if function in {"count", "sum"} else fill,
            )
            for function in functions
            for column in VALUES
            for length in (2, 5)
        ),
    )


PLAN = Plan(
    service="all",
    spine="payments",
    sources=tuple(Source(name, name, COLUMNS, "at", "id", f"{name}.parquet", 0) for name in ("payments", "reports")),
    windows=(
        stage("payments", "card"),
        stage("reports", "card", "shop"),
        stage("reports", "shop", functions=("mean",), fill=0.0),
    ),
    on_demand=(),
    batch=(),
    inputs=(),
    mode="arrival",
    lateness_ms=0,
)
"""Windows over the spine and over another source, by one column and by two, with a fill value and without."""


@st.composite
def streams(draw: st.DrawFn, sources: tuple[str, ...] = ("payments", "reports"), size: int = 40) -> list[Event]:
    """Events in order of arrival, a third of them late, of few cards and shops."""
    values = st.fixed_dictionaries({name: st.none() | strategy for name, strategy in VALUES.items()})
    keys = st.fixed_dictionaries({"card": st.integers(1, 2), "shop": st.sampled_from("ab")})
    rows = draw(st.lists(st.tuples(st.sampled_from(sources), st.integers(0, 12), keys, values), max_size=size))
    return [
        Event(source, STEP * step, {"id": place, "at": STEP * step, **keys, **columns})
        for place, (source, step, keys, columns) in enumerate(rows)
    ]
