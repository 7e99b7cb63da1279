"""DuckDB against the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from features.plan import Column, ColumnType, Plan, Stage
from features.sql.duckdb import features_sql, windows_sql
from tests.contract.reference import Event, vectors
from tests.support.strategies import COLUMNS, NUMBERS, PLAN, STEP, same, stage, streams, together

AT_ONCE = 100
ARROW = {"int64": pa.int64(), "timestamp": pa.int64(), "string": pa.string(), "float64": pa.float64(), "bool": pa.bool_()}
CENTS = pa.decimal128(12, 2)
CARD = stage("payments", "card")
SHOP = stage("reports", "shop")


def schema(decimals: pa.DataType = CENTS) -> pa.Schema:
    """Of the tables that the SQL reads."""
    columns = [(column.name, ARROW.get(column.type.kind, decimals)) for column in COLUMNS]
    return pa.schema([*columns, ("_arrival", pa.int64()), ("_row", pa.int64())])


def run(sql: str, events: Sequence[Event], is_query: Callable[[int], bool] = lambda place: True) -> list[dict[str, Any]]:
    """The statement's rows over these events; ``is_query`` says which places in ``events`` are queries, by default all."""
    for source in PLAN.sources:
        rows = [
            {**event.columns, "_arrival": place, "_row": place if is_query(place) else None}
            for place, event in enumerate(events)
            if event.source == source.name
        ]
        connection().register(source.name, pa.Table.from_pylist(rows, schema()))
    return connection().sql(sql).to_arrow_table().to_pylist()


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """One for all examples: opening it takes longer than most of them."""
    return duckdb.connect(config={"threads": 1})


def wrong(stages: Sequence[Stage], events: list[Event], got: Sequence[dict[str, Any]]) -> list[str]:
    """What differs from the reference in the vectors of the spine's events."""
    largest = {name: float(max((abs(e.columns[name] or 0) for e in events), default=0)) for name in NUMBERS}
    return [
        f"vector {number}: {feature.name} is {got[number][feature.name]!r}, should be {expected[feature.name]!r}"
        for windows in stages
        for number, expected in enumerate(vectors(windows, PLAN.spine, events))
        for feature in windows.features
        if not same(feature, got[number][feature.name], expected[feature.name], largest.get(feature.column, 0.0))
    ]


def smallest(events: list[Event]) -> list[Event]:
    """``events`` without those that do not matter to their being computed wrongly."""
    for place in reversed(range(len(events))):
        fewer = events[:place] + events[place + 1 :]
        if wrong(PLAN.windows, fewer, run(features_sql(PLAN), fewer)):
            return smallest(fewer)
    return events


def drawn(count: int) -> list[list[Event]]:
    """Streams that Hypothesis makes, to be computed many at once: a statement costs more than its rows."""
    found: list[list[Event]] = []

    @settings(
        max_examples=count, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow]
    )
    @given(streams())
    def collect(events: list[Event]) -> None:
        found.append(events)

    collect()
    return found


def test_windows_are_those_of_the_reference() -> None:
    """Random streams give what the contract says; of one that does not, the least that is wrong is shown."""
    count = settings.default.max_examples
    many = drawn(count)
    assert len(many) >= count
    for streams_at_once in (many[first : first + AT_ONCE] for first in range(0, len(many), AT_ONCE)):
        rows = iter(run(features_sql(PLAN), together(streams_at_once)))
        for events in streams_at_once:
            got = [next(rows) for event in events if event.source == PLAN.spine]
            if wrong(PLAN.windows, events, got):
                least = smallest(events)
                differing = wrong(PLAN.windows, least, run(features_sql(PLAN), least)) or wrong(PLAN.windows, events, got)
                pytest.fail("\n".join([*differing, "of the stream", *map(repr, least)]))


def test_rows_that_are_only_history_have_no_vectors() -> None:
    """Whichever rows are queries, they have the values that they have among all, as near as rule 7 says."""
    events = together(drawn(min(AT_ONCE, settings.default.max_examples)))
    queries = set(Random(1).sample(range(len(events)), len(events) // 3))
    whole = run(features_sql(PLAN), events)
    part = run(features_sql(PLAN), events, queries.__contains__)
    wanted = [row for row in whole if row["_row"] in queries]
    assert [row["_row"] for row in part] == [row["_row"] for row in wanted]
    largest = {name: float(max(abs(e.columns[name] or 0) for e in events)) for name in NUMBERS}
    differing = [
        f"row {got['_row']}: {feature.name} is {got[feature.name]!r}, among all {expected[feature.name]!r}"
        for got, expected in zip(part, wanted, strict=True)
        for feature in PLAN.window_features
        if not same(feature, got[feature.name], expected[feature.name], largest.get(feature.column, 0.0))
    ]
    assert not differing


@pytest.mark.slow
def test_a_hot_key_is_as_exact_as_any() -> None:
    """Thousands of rows of one key in one window: DuckDB's trees, sorts and vectors are on more than one level."""
    random = Random(7)
    events = [
        event(
            "reports" if place % 300 else "payments",
            random.randrange(5 * STEP),
            place,
            whole=random.choice((None, random.randrange(50), random.randrange(2**40))),
            exact=random.choice((None, Decimal(random.randrange(10**6)).scaleb(-2))),
            real=random.choice((None, random.gauss(1e5, 10.0))),
        )
        for place in range(3000)
    ]
    stages = (stage("reports", "card", steps=(5,)),)
    plan = msgspec.structs.replace(PLAN, windows=stages)
    assert wrong(stages, events, run(features_sql(plan), events)) == []


@pytest.mark.parametrize(("middle", "within"), [(1e6, 1e-12), (1e9, 1e-12), (-1e12, 1e-4)])
def test_a_small_variance_of_large_values_loses_nothing(middle: float, within: float) -> None:
    """Of values whose mean is a thousand million times their deviation, where a plain sum of squares has no digit right."""
    random = Random(3)
    reals = [middle + random.gauss(0, 1) for _ in range(900)]
    events = [event("reports" if n % 300 else "payments", n, n, real=real) for n, real in enumerate(reals, 1)]
    spread = stage("reports", "card", functions=("var_pop", "std_samp"), columns=("real",))
    plan = msgspec.structs.replace(PLAN, windows=(spread,))
    for got, expected in zip(run(features_sql(plan), events), vectors(spread, PLAN.spine, events), strict=True):
        assert all(math.isclose(got[name], value, rel_tol=within) for name, value in expected.items())


@pytest.mark.parametrize("value", [0.1, 1e17, -3.3e-5])
def test_equal_values_have_no_variance(value: float) -> None:
    """Zero to the bit: a function that divides by a deviation may rely on it."""
    events = [event("payments", place, place, real=value, exact=Decimal("0.1")) for place in range(100)]
    spread = stage("payments", "card", functions=("var_pop", "std_pop", "var_samp", "std_samp"), columns=("real", "exact"))
    first, *rest = run(windows_sql(PLAN, spread), events)
    assert all(first[f.name] == (None if f.function.endswith("samp") else 0.0) for f in spread.features)
    assert all(row[f.name] == 0.0 for row in rest for f in spread.features)


def test_a_quantile_is_within_a_256th() -> None:
    """Rule 7: its error, and that whole numbers up to 256 have none; the rank is exact: of a hundred, p55 is the 55th."""
    values = [10.0 ** (place / 40 - 50) for place in range(4000)]
    ranks = stage("payments", "card", functions=("p7", "p50", "p55"), columns=("real", "whole"), steps=(5,))
    events = [event("payments", 0, place, real=value, whole=place % 257) for place, value in enumerate(values)]
    rows = run(windows_sql(PLAN, ranks), events)
    assert all(abs(row["payments_card__p50_real_5"] / values[place // 2] - 1) <= 1 / 256 for place, row in enumerate(rows))
    assert rows[255]["payments_card__p50_whole_5"] == 127
    assert (rows[99]["payments_card__p7_whole_5"], rows[99]["payments_card__p55_whole_5"]) == (6, 54)
    assert run(windows_sql(PLAN, ranks), [event("payments", 0, 0, real=1.7e308)])[0]["payments_card__p50_real_5"] == 1.7e308


@pytest.mark.parametrize(
    "values",
    [
        (1e16, 1.0, -1e16),
        (1e300, 1e-300, -1e300),
        (1e-320, 5e-324),
        (0.0, -0.0),
        (0.1,) * 10,
        (1.7e308, -1.7e308, 3.0),
        (2.0**70, 2.0**-40),
    ],
)
def test_a_sum_of_doubles_is_the_exact_one_rounded(values: tuple[float, ...]) -> None:
    """Rule 7, and better: whatever cancels, and whatever is too small to matter but alone in a window."""
    events = [event("payments", 0, place, real=value) for place, value in enumerate(values)]
    events.append(event("payments", 5 * STEP, len(values), real=values[-1]))
    rows = run(windows_sql(PLAN, stage("payments", "card", functions=("sum", "mean"), columns=("real",))), events)
    for place, row in enumerate(rows):
        expected = math.fsum(values[: place + 1] if place < len(values) else values[-1:])
        assert math.isclose(row["payments_card__sum_real_5"], expected, rel_tol=1e-15)


def test_zero_has_one_sign() -> None:
    """-0.0 and 0.0 are one value, 0.0, whichever came first."""
    events = [event("payments", 0, place, real=value) for place, value in enumerate((-0.0, 0.0, -0.0))]
    zeros = stage("payments", "card", functions=("min", "max", "first", "last", "last_3", "count_distinct"), columns=("real",))
    row = run(windows_sql(PLAN, zeros), events)[-1]
    assert [repr(row[f.name]) for f in zeros.features if f.window_ms == 2 * STEP] == ["0.0"] * 4 + ["[0.0, 0.0, 0.0]", "1"]


def test_a_later_tie_is_not_in_the_window_of_an_earlier_one() -> None:
    """Rule 3: of three rows of one time, the first sees one, the last sees three."""
    events = [event("payments", 0, place) for place in range(3)]
    rows = run(windows_sql(PLAN, CARD), events)
    assert [row["payments_card__count_whole_2"] for row in rows] == [1, 2, 3]


def test_a_row_exactly_as_old_as_the_window_is_out() -> None:
    """Rule 1: at twice a step, a window of two steps has lost the row at zero."""
    events = [event("payments", time, place) for place, time in enumerate((0, 1, 2 * STEP - 1, 2 * STEP))]
    rows = run(windows_sql(PLAN, CARD), events)
    assert [row["payments_card__count_whole_2"] for row in rows] == [1, 2, 3, 3]


def test_another_sources_tie_is_in_even_if_it_arrives_later() -> None:
    """Rule 6: at equal times the rows of other sources come first."""
    events = [event("payments", 0, 0), event("reports", 0, 1)]
    assert run(windows_sql(PLAN, SHOP), events)[0]["reports_shop__count_whole_2"] == 1


def test_an_empty_window_is_what_its_function_says_or_its_fill() -> None:
    """Rule 4: counts and sums are 0, a list is empty, the others null, or what the view names."""
    filled = stage("reports", "card", fill=-1.5)
    plan = msgspec.structs.replace(PLAN, windows=(SHOP, filled))
    row = run(features_sql(plan), [event("payments", 0, 0)])[0]
    for windows, rest in ((SHOP, None), (filled, -1.5)):
        for feature in windows.features:
            empty = feature.aggregation.row.empty
            expected = rest if empty is None else [] if empty == () else empty
            if feature.column != "whole" or rest is None or feature.function.startswith(("mean", "var", "std", "p")):
                assert row[feature.name] == expected


def test_a_mean_of_cents_is_one_division() -> None:
    """0.10, 0.20 and 0.40 make 0.7 / 3 rounded once, not the sum of three roundings."""
    events = [event("payments", 0, place, exact=Decimal(cents).scaleb(-2)) for place, cents in enumerate((10, 20, 40))]
    assert run(windows_sql(PLAN, CARD), events)[-1]["payments_card__mean_exact_2"] == 70 / 300


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


def event(source: str, time: int, place: int, **values: Any) -> Event:
    """An event of card 1 in shop a."""
    columns = {"id": place, "at": time, "card": 1, "shop": "a", "whole": 1, "exact": Decimal(1), "real": 1.0, **values}
    return Event(source, time, columns)
