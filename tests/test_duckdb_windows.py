"""DuckDB against the reference, and the text of its SQL."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.load import load
from features.plan import Column, ColumnType, Plan
from features.sql.duckdb import features_sql, windows_sql
from tests.reference import Event, answers
from tests.strategies import COLUMNS, PLAN, STEP, stage, streams

pytestmark = pytest.mark.core

ROOT = Path(__file__).parent
ARROW = {"int64": pa.int64(), "timestamp": pa.int64(), "string": pa.string(), "float64": pa.float64()}
CENTS = pa.decimal128(12, 2)


def schema(decimals: pa.DataType = CENTS) -> pa.Schema:
    """Of the tables that the SQL reads."""
    columns = [(column.name, ARROW.get(column.type.kind, decimals)) for column in COLUMNS]
    return pa.schema([*columns, ("_arrival", pa.int64()), ("_row", pa.int64())])


def run(sql: str, events: Sequence[Event], asked: Collection[int] | None = None) -> list[dict[str, Any]]:
    """The statement's rows over these events; ``asked`` are places in ``events``, by default all."""
    for source in PLAN.sources:
        rows = [
            {**event.columns, "_arrival": place, "_row": place if asked is None or place in asked else None}
            for place, event in enumerate(events)
            if event.source == source.name
        ]
        connection().register(source.name, pa.Table.from_pylist(rows, schema()))
    return connection().sql(sql).to_arrow_table().to_pylist()


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """One for all examples: opening it takes longer than most of them."""
    return duckdb.connect(config={"threads": 1})


def same(name: str, got: Any, expected: Any) -> bool:
    """Equal to the bit, but for sums and means of floats: within 1e-12 of the largest that is drawn, 1e6 (rule 7)."""
    if "sum_real" in name or ("mean_real" in name and None not in {got, expected}):
        return math.isclose(got, expected, rel_tol=1e-12, abs_tol=1e-6)
    return bool(got == expected)


@settings(max_examples=200, deadline=None)
@given(streams(), st.sets(st.integers(0, 39)))
def test_windows_are_those_of_the_reference(events: list[Event], asked: set[int]) -> None:
    """Random streams give what the contract says, whichever rows are asked for."""
    got = {row.pop("_row"): row for row in run(features_sql(PLAN), events, asked)}
    spine = [place for place, event in enumerate(events) if event.source == PLAN.spine]
    assert list(got) == [place for place in spine if place in asked]
    for windows in PLAN.windows:
        for place, expected in zip(spine, answers(windows, PLAN.spine, events), strict=True):
            if place in asked:
                wrong = {n: (got[place][n], value) for n, value in expected.items() if not same(n, got[place][n], value)}
                assert not wrong


def test_a_later_tie_is_not_in_the_window_of_an_earlier_one() -> None:
    """Rule 3: of three rows of one time, the first sees one, the last sees three."""
    events = [event("payments", 0, place) for place in range(3)]
    rows = run(windows_sql(PLAN, PLAN.windows[0]), events)
    assert [row["payments_card__count_whole_2"] for row in rows] == [1, 2, 3]


def test_a_row_exactly_as_old_as_the_window_is_out() -> None:
    """Rule 1: at twice a step, a window of two steps has lost the row at zero."""
    events = [event("payments", time, place) for place, time in enumerate((0, 1, 2 * STEP - 1, 2 * STEP))]
    rows = run(windows_sql(PLAN, PLAN.windows[0]), events)
    assert [row["payments_card__count_whole_2"] for row in rows] == [1, 2, 3, 3]


def test_another_sources_tie_is_in_even_if_it_arrives_later() -> None:
    """Rule 6: at equal times the rows of other sources come first."""
    events = [event("payments", 0, 0), event("reports", 0, 1)]
    assert run(windows_sql(PLAN, PLAN.windows[1]), events)[0]["reports_card_shop__count_whole_2"] == 1


def test_an_empty_window_is_null_or_its_fill() -> None:
    """Rule 4: count and sum are 0, the others null, or what the view names."""
    row = run(features_sql(PLAN), [event("payments", 0, 0)])[0]
    assert row["reports_card_shop__count_exact_2"] == 0
    assert row["reports_card_shop__sum_exact_2"] == 0
    assert row["reports_card_shop__mean_exact_2"] is None
    assert row["reports_shop__mean_exact_2"] == 0.0


def test_a_mean_of_cents_is_one_division() -> None:
    """0.10, 0.20 and 0.40 make 0.7 / 3 rounded once, not the sum of three roundings."""
    events = [event("payments", 0, place, exact=Decimal(cents).scaleb(-2)) for place, cents in enumerate((10, 20, 40))]
    assert run(windows_sql(PLAN, PLAN.windows[0]), events)[-1]["payments_card__mean_exact_2"] == 70 / 300


@pytest.mark.parametrize(("precision", "scale"), [(18, 0), (18, 2), (18, 9), (18, 18), (1, 1)])
def test_the_largest_decimals_do_not_overflow(precision: int, scale: int) -> None:
    """A hundred of the largest values of a type: the sum is exact, a fill changes no type."""
    column = Column("exact", ColumnType("decimal", precision, scale))
    source = msgspec.structs.replace(PLAN.sources[0], columns=(*(c for c in COLUMNS if c.name != "exact"), column))
    plan = msgspec.structs.replace(PLAN, sources=(source,), windows=(stage("payments", "card", fill=0.0),))
    largest = Decimal(10**precision - 1).scaleb(-scale)
    kind = pa.decimal128(precision, scale)
    rows = [{**event("payments", 0, n, exact=largest).columns, "_arrival": n, "_row": n} for n in range(100)]
    connection().register("payments", pa.Table.from_pylist(rows, schema(kind)))
    table = connection().sql(windows_sql(plan, plan.windows[0])).to_arrow_table()
    last = table.slice(99).to_pylist()[0]
    assert last["payments_card__sum_exact_2"] == 100 * largest
    assert last["payments_card__mean_exact_2"] == float(largest)
    assert last["payments_card__min_exact_2"] == largest
    assert table.schema.field("payments_card__min_exact_2").type == kind
    assert table.schema.field("payments_card__min_whole_2").type == pa.int64()


def test_a_plan_without_windows_gives_its_rows() -> None:
    """A service of on-demand features alone has no windows to compute."""
    plan = Plan("none", "payments", PLAN.sources[:1], (), (), (), (), "arrival", 0)
    assert run(features_sql(plan), [event("payments", 0, 0)]) == [{"_row": 0}]


def test_the_sql_of_the_fraud_service_is_the_golden_one() -> None:
    """The text changes only on purpose: delete the golden file, run this test twice, and read the difference."""
    golden = ROOT / "golden" / "duckdb_fraud.sql"
    sql = features_sql(load(ROOT.parent / "examples" / "fraud").plan("fraud"))
    if not golden.exists():
        golden.write_text(sql)
        pytest.fail(f"{golden} was missing and has been written; run again")
    assert sql == golden.read_text()


def event(source: str, time: int, place: int, **values: Any) -> Event:
    """An event of card 1 in shop a."""
    columns = {"id": place, "at": time, "card": 1, "shop": "a", "whole": 1, "exact": Decimal(1), "real": 1.0, **values}
    return Event(source, time, columns)
