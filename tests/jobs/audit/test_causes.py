"""Why a value that was served is not the true one: each cause made to happen, to receipts of one small service."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from features.plan import BatchView, Column, ColumnType, OnDemand, Plan, Source, Stage, WindowFeature
from jobs.audit.compare import Tally
from jobs.audit.comparison import Comparison
from jobs.audit.ledger import Ledger, Missed, Place
from jobs.audit.served import Served

AT = 2_000
PLACE = Place("labels", "risk", (7,))
RISK, MEAN, LAST, RATIO, PROFILE = "risk__n", "risk__mean", "risk__last", "derived__ratio", "profile__mean"


def _source(name: str) -> Source:
    columns = {"id": "int64", "at": "timestamp", "key": "int64", "value": "float64"}
    kinds = tuple(Column(column, ColumnType(kind)) for column, kind in columns.items())  # type: ignore[arg-type]
    return Source(name, name, kinds, "at", "id", f"{name}.parquet", 0)


PLAN = Plan(
    service="s",
    spine="events",
    sources=(_source("events"), _source("labels")),
    windows=(
        Stage(
            "labels",
            ("key",),
            (
                WindowFeature(RISK, "count", "value", 1000),
                WindowFeature(MEAN, "mean", "value", 1000),
                WindowFeature(LAST, "last_2", "value", 1000),
            ),
        ),
    ),
    on_demand=(OnDemand("derived", ("value",), (("n", RISK), ("mean", MEAN)), ("ratio",), "0"),),
    batch=(BatchView("profile", ("key",), ("mean",), "events", "", "profile.parquet", "day"),),
    inputs=(RISK, MEAN, RATIO, PROFILE),
    mode="arrival",
    lateness_ms=0,
)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "derived": lambda given: {"ratio": [v * n + m for v, n, m in zip(given["value"], given["n"], given["mean"], strict=True)]}
}
TRUE = {RISK: 3, MEAN: 0.5, LAST: [0.25, 0.75], RATIO: 12.5, PROFILE: 0.1}
SERVED = {name: value for name, value in TRUE.items() if name != LAST} | {f"{LAST}_1": 0.25, f"{LAST}_2": 0.75}


def _table(*events: int) -> pa.Table:
    count = len(events)
    columns = {"id": list(events), "at": [AT] * count, "key": [7] * count, "value": [4.0] * count}
    columns |= {name: [value] * count for name, value in TRUE.items()}  # type: ignore[dict-item]
    return pa.table({**columns, "_as_of_profile": [1_500] * count, "_incomplete_profile": pa.nulls(count, pa.string())})


def _served(event: int = 1, values: dict[str, Any] | None = None, **changes: Any) -> Served:
    """What was served right, with these values and fields changed."""
    one = Served(event, AT, PLAN.short_digest, {**SERVED, **(values or {})}, True, {"profile": 1_500})
    return msgspec.structs.replace(one, **changes)


def _late(values: float = 10) -> Ledger:
    """A late label of the window."""
    return {PLACE: Missed([1_500], values)}


def _causes(one: Served, ledger: Ledger | None = None, **options: Any) -> dict[str, str]:
    """The causes of what differs, by feature."""
    tally = Tally(PLAN, FUNCTIONS, **options)
    return {found.feature: cause for found, cause in tally.add(_table(1), [one], lambda places: ledger or {})}


def test_what_is_right_has_no_cause() -> None:
    """All features are compared, a list as one, and none differs although a row was late."""
    tally = Tally(PLAN, FUNCTIONS)
    tally.add(_table(1), [_served()], lambda places: _late())
    assert {one.name: (one.values, one.differing) for one in tally.comparison.features} == dict.fromkeys(TRUE, (1, 0))


def test_a_list_differs_once() -> None:
    """However many of its columns do: the ledger counts it as one value."""
    values = {f"{LAST}_1": None, f"{LAST}_2": 0.25}
    assert _causes(_served(values=values), _late(1)) == {LAST: "late_row"}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"batch_as_of": {"profile": 500}}, "late_batch_row"),
        ({"batch_as_of": {}, "incomplete": {"profile": "missing"}}, "late_batch_row"),
        ({"batch_as_of": {"profile": 100}, "incomplete": {"profile": "too_old"}}, "late_batch_row"),
        ({"batch_as_of": {"profile": 3_000}, "incomplete": {"profile": "too_new"}}, "incomplete"),
        ({"batch_as_of": {"profile": 1_500}}, "unexplained"),
        ({"batch_as_of": {"profile": 1_800}}, "unexplained"),
        ({"plan": "other"}, "changed_definition"),
    ],
)
def test_a_batch_value_is_explained_by_its_row(changes: dict[str, Any], cause: str) -> None:
    """A row that was not there yet, or of the event's future; the row that history has explains nothing."""
    assert _causes(_served(values={PROFILE: 9.0}, **changes), _late()) == {PROFILE: cause}


def test_32_bits_of_a_batch_value_are_the_same() -> None:
    """A Float32 comes back from the online store as such; a double that is off in its last digit differs."""
    assert _causes(_served(values={PROFILE: 0.10000000149011612})) == {}
    assert _causes(_served(values={PROFILE: 0.10000000000000002})) == {PROFILE: "unexplained"}


def test_what_explains_its_inputs_explains_an_on_demand_value() -> None:
    """The function gives what was served of what was served."""
    wrong = _served(values={RISK: 2, RATIO: 8.5})
    assert _causes(wrong, _late()) == {RISK: "late_row", RATIO: "late_row"}
    assert _causes(wrong) == {RISK: "unexplained", RATIO: "unexplained"}
    assert _causes(_served(values={RISK: 2, RATIO: 9.0}), _late()) == {RISK: "late_row", RATIO: "unexplained"}
    assert _causes(_served(values={RATIO: 9.0}), _late()) == {RATIO: "unexplained"}


def test_an_on_demand_value_of_inputs_within_rule_7_does_not_differ() -> None:
    """A mean of doubles may be an ulp off, and what is made of it is off by what the function makes of that."""
    mean = 0.5 + 2**-52
    assert _causes(_served(values={MEAN: mean, RATIO: 12.0 + mean})) == {}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_number_for_is_null_in_a_receipt(number: float) -> None:
    """A function may give NaN or an infinity: that a receipt has null for it is no difference, and a value is one."""
    functions = {"derived": lambda given: {"ratio": [number if n == 3 else 1.0 for n in given["n"]]}}
    table = _table(1).set_column(_table(1).column_names.index(RATIO), RATIO, pa.array([number]))
    for values, ledger, causes in (
        ({RATIO: None}, {}, {}),
        ({RATIO: 1.0}, {}, {RATIO: "unexplained"}),
        ({RISK: 2, RATIO: 1.0}, _late(), {RISK: "late_row", RATIO: "late_row"}),
    ):
        found = Tally(PLAN, functions).add(table, [_served(values=values)], lambda places, ledger=ledger: ledger)
        assert {difference.feature: cause for difference, cause in found} == causes


def test_an_input_that_the_model_does_not_have_may_explain() -> None:
    """Where the receipt lacks it, a late row in its window is enough, and takes nothing from what the ledger counts."""
    without = msgspec.structs.replace(_served(), values={RATIO: 8.5, MEAN: 0.5})
    assert _causes(without, _late(1)) == {RATIO: "late_row"}
    assert _causes(without) == {RATIO: "unexplained"}
    assert _causes(msgspec.structs.replace(without, whole=False)) == {RATIO: "incomplete"}


def test_a_receipt_that_does_not_tell_is_looked_up_in_its_vector() -> None:
    """Where a batch view had no row, the vector is looked up once, and only for what nothing else explains."""
    looked_up = list[Any]()

    def was_whole(one: Served) -> bool:
        looked_up.append(one.event_id)
        return False

    one = _served(values={RISK: 2, RATIO: 8.5}, whole=None)
    assert _causes(one, _late(), was_whole=was_whole)[RISK] == "late_row"
    assert looked_up == []
    assert _causes(one, was_whole=was_whole) == {RISK: "incomplete", RATIO: "incomplete"}
    without = msgspec.structs.replace(_served(whole=None), values={RISK: 2, MEAN: 0.25})
    looked_up.clear()
    assert _causes(without, was_whole=was_whole) == {RISK: "incomplete", MEAN: "incomplete"}
    assert looked_up == [1]
    assert _causes(one, was_whole=lambda one: True) == {RISK: "unexplained", RATIO: "unexplained"}


def test_a_feature_that_is_gone_is_of_other_definitions() -> None:
    """It is counted by its name, although nothing can be said of it."""
    tally = Tally(PLAN, FUNCTIONS)
    tally.add(_table(1), [_served(values={"old__x": 1}, plan="other")], lambda places: {})
    (gone,) = (one for one in tally.comparison.features if one.name == "old__x")
    assert (gone.of, gone.differing, gone.causes["changed_definition"]) == ("not in the definitions", 1, 1)


def test_late_rows_explain_no_more_over_all_spans() -> None:
    """Two spans, a difference in each, and a ledger that counts one value: the second is a defect."""
    assert _spans(1).unexplained == 1
    assert _spans(2).unexplained == 0


def test_windows_that_began_empty_explain_what_the_topics_alone_give() -> None:
    """The very value that history gives from the beginning on; a late row explains first, and another value is a defect."""
    since = _table(1).set_column(4, RISK, pa.array([2])).set_column(7, RATIO, pa.array([8.5]))
    wrong = _served(values={RISK: 2, RATIO: 8.5})
    assert since.column_names == _table(1).column_names
    assert _began(wrong, since) == {RISK: "began_empty", RATIO: "began_empty"}
    assert _began(wrong, since, _late()) == {RISK: "late_row", RATIO: "late_row"}
    assert _began(_served(values={RISK: 1, RATIO: 4.5}), since) == {RISK: "unexplained", RATIO: "unexplained"}
    assert _began(_served(values={RISK: 2, RATIO: 9.0}), since) == {RISK: "began_empty", RATIO: "unexplained"}
    assert _began(wrong, None) == {RISK: "unexplained", RATIO: "unexplained"}
    assert _began(wrong, _table(2)) == {RISK: "unexplained", RATIO: "unexplained"}, "the event is before the beginning"


def test_a_list_of_windows_that_began_empty_is_explained_by_all_of_its_columns() -> None:
    """One of them right and the other not is a defect."""
    since = _table(1).set_column(6, LAST, pa.array([[0.75]]))
    assert _began(_served(values={f"{LAST}_1": None}), since) == {LAST: "began_empty"}
    assert _began(_served(values={f"{LAST}_1": None, f"{LAST}_2": 9.0}), since) == {LAST: "unexplained"}


def test_an_on_demand_value_alone_is_explained_by_windows_that_began_empty() -> None:
    """Where the model lacks an input of the function, the function's own value from the topics' beginning on tells."""
    since = _table(1).set_column(4, RISK, pa.array([2])).set_column(7, RATIO, pa.array([8.5]))
    without = msgspec.structs.replace(_served(), values={RATIO: 8.5, MEAN: 0.5})
    assert _began(without, since) == {RATIO: "began_empty"}
    assert _began(msgspec.structs.replace(without, values={RATIO: 9.0, MEAN: 0.5}), since) == {RATIO: "unexplained"}


def test_only_a_difference_has_the_beginning_computed() -> None:
    """It costs a second run over history."""

    def began() -> pa.Table:
        raise AssertionError

    Tally(PLAN, FUNCTIONS).add(_table(1), [_served()], lambda places: {}, began)
    Tally(PLAN, FUNCTIONS).add(_table(1), [_served(values={RISK: 2, RATIO: 8.5})], lambda places: _late(), began)


def _began(one: Served, since: pa.Table | None, ledger: Ledger | None = None) -> dict[str, str]:
    """As `_causes`, where ``since`` is what the topics alone give."""
    added = Tally(PLAN, FUNCTIONS).add(_table(1), [one], lambda places: ledger or {}, lambda: since)
    return {found.feature: cause for found, cause in added}


def _spans(values: float) -> Comparison:
    tally = Tally(PLAN, FUNCTIONS)
    for event in (1, 2):
        tally.add(_table(event), [_served(event, {f"{LAST}_1": 9.0})], lambda places: _late(values) if PLACE in places else {})
    return tally.comparison
