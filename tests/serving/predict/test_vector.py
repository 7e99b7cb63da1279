"""Messages to input vectors, and what cannot be one: no server, no Feast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from features.errors import DefinitionError
from features.feast.keys import Key
from features.feast.online import Row
from features.inputs.matrix import matrix
from features.plan import BatchView, Column, ColumnType, OnDemand, Plan, Source, Stage, WindowFeature
from schemas import FeatureVector, Origin
from schemas.codec import encode
from serving.predict.message import UnscorableError
from serving.predict.vector import Events, Needed, Vectors, needed_by, together

DAY = 86_400_000
PLAN = Plan(
    service="s",
    spine="orders",
    sources=(
        Source(
            name="orders",
            topic="orders",
            columns=(
                Column("id", ColumnType("string")),
                Column("at", ColumnType("timestamp")),
                Column("shop", ColumnType("int64")),
                Column("price", ColumnType("decimal", 12, 2)),
            ),
            time="at",
            event_id="id",
            history="orders.parquet",
            delay_ms=0,
        ),
    ),
    windows=(
        Stage(
            "orders",
            ("shop",),
            (
                WindowFeature("by-shop__count", "count", "price", DAY),
                WindowFeature("by-shop__mean", "mean", "price", DAY),
                WindowFeature("by-shop__last", "last", "id", DAY),
            ),
        ),
    ),
    on_demand=(OnDemand("ratio", ("price",), (("mean", "by-shop__mean"), ("size", "shops__size")), ("of_mean", "of_size"), "0"),),
    batch=(BatchView("shops", ("shop",), ("size", "age"), "orders", "", "shops.parquet", "day"),),
    inputs=("by-shop__count", "by-shop__mean", "ratio__of_mean", "ratio__of_size", "shops__age"),
    mode="arrival",
    lateness_ms=DAY,
)


def ratio(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The price by the shop's mean, and by its size."""
    return {
        "of_mean": [p / m if m else None for p, m in zip(columns["price"], columns["mean"], strict=True)],
        "of_size": [p / s if s else None for p, s in zip(columns["price"], columns["size"], strict=True)],
    }


def sizes(view: BatchView, keys: Sequence[Key]) -> list[Row | None]:
    """Shop 1 has a row of time 7, no other has."""
    return [Row(7, (50, 2.5)) if key == (1,) else None for key in keys]


def message(event: Mapping[str, Any] | None = None, features: Mapping[str, Any] | None = None, **changes: Any) -> bytes:
    """A feature vector of `PLAN`."""
    fields: dict[str, Any] = {
        "event_id": "e1",
        "event_time": 1000,
        "plan": PLAN.short_digest,
        "origin": Origin("orders", 0, 1),
        "arrived_at": 1001,
        "complete": True,
        "event": {"id": "e1", "at": 1000, "shop": 1, "price": 10.0, **(event or {})},
        "features": {"by-shop__count": 3, "by-shop__mean": 5.0, "by-shop__last": "e0", **(features or {})},
    }
    return encode(FeatureVector(**{**fields, **changes}))


NEEDED = needed_by(PLAN, PLAN.inputs)


def vectors(*needs: Needed, function: Any = ratio) -> Vectors:
    """For models of the plan, by default one with all of its inputs; with its one function."""
    return Vectors(PLAN, needs or (NEEDED,), {"ratio": function})


def events(made: Vectors, *messages: bytes) -> Events:
    """Some messages, decoded."""
    return made.events([made.decode(m) for m in messages], [0] * len(messages))


def complete(found: Events, needed: Needed = NEEDED) -> list[tuple[Any, ...]]:
    """The input vectors of a model."""
    found.look_up(needed, sizes)
    return found.vectors(needed)


def test_inputs_stand_in_the_models_order() -> None:
    """Not in the plan's: the model may have been trained with fewer, in another order."""
    needed = needed_by(PLAN, ("shops__age", "by-shop__count"))
    assert complete(events(vectors(needed), message(), message(features={"by-shop__count": 4})), needed) == [(2.5, 3), (2.5, 4)]


def test_functions_see_event_window_and_batch_columns() -> None:
    """An on-demand function gets its inputs under its own names, the whole batch in one call."""
    calls: list[Mapping[str, list[Any]]] = []

    def spying(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        calls.append(columns)
        return ratio(columns)

    found = events(vectors(function=spying), message(), message({"shop": 2, "price": 4.0}))
    rows = complete(found)
    assert calls == [{"price": [10.0, 4.0], "mean": [5.0, 5.0], "size": [50, None]}]
    assert rows == [(3, 5.0, 2.0, 0.2, 2.5), (3, 5.0, 0.8, None, None)]


def test_time_of_the_batch_row_is_told() -> None:
    """And is absent where there is no row."""
    found = events(vectors(), message(), message({"shop": 2}))
    found.look_up(NEEDED, sizes)
    assert found.batch_of(NEEDED) == ([{"shops": 7}, {}], [{}, {"shops": "missing"}])


@pytest.mark.parametrize(
    ("ttl_ms", "event_time", "reason"),
    [
        (0, 7, None),
        (0, 6, "too_new"),
        (0, 10**15, None),
        (5, 12, None),
        (5, 13, "too_old"),
        (5, 6, "too_new"),
    ],
)
def test_a_row_of_the_future_or_beyond_its_ttl_is_not_used(ttl_ms: int, event_time: int, reason: str | None) -> None:
    """Its values are null and why is told; a row of the event's own time, or just as old as the ttl, is used."""
    batch = (msgspec.structs.replace(PLAN.batch[0], ttl_ms=ttl_ms),)
    plan = msgspec.structs.replace(PLAN, batch=batch)
    needed = needed_by(plan, ("shops__age",))
    found = events(Vectors(plan, [needed], {}), message(event_time=event_time, plan=plan.short_digest))
    assert complete(found, needed) == [(None if reason else 2.5,)]
    assert found.batch_of(needed) == ([{"shops": 7}], [{"shops": reason} if reason else {}])


def test_only_what_the_model_needs_is_read() -> None:
    """No batch view is read, no function called, and no other field decoded for a model of windows."""
    needed = needed_by(PLAN, ["by-shop__count"])
    assert not needed.batch
    assert not needed.on_demand
    assert complete(events(vectors(needed), message({"price": "unread"}, {"by-shop__mean": "unread"})), needed) == [(3,)]


def test_events_of_two_polls_together_are_those_of_one() -> None:
    """With what was known of both; what was known of one alone is made again."""
    made = vectors()
    whole = [message({"price": float(i)}) for i in range(4)]
    parts = events(made, *whole[:1]), events(made, *whole[1:])
    for part in parts:
        part.look_up(NEEDED, sizes)
    complete(parts[0])
    both = together(parts)
    assert complete(both) == complete(events(made, *whole))
    assert both.batch_of(NEEDED) == ([{"shops": 7}] * 4, [{}] * 4)


def test_what_two_models_need_is_made_once() -> None:
    """The function is called once for the poll, and the view looked up once, whichever of them asks first."""
    calls, looks = [], []

    def spying(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        calls.append(columns)
        return ratio(columns)

    def looking(view: BatchView, keys: Sequence[Key]) -> list[Row | None]:
        looks.append(keys)
        return sizes(view, keys)

    other = needed_by(PLAN, ("ratio__of_mean", "shops__age"))
    found = events(vectors(NEEDED, other, function=spying), message(), message({"shop": 2}))
    for needed in (other, NEEDED, other):
        found.look_up(needed, looking)
    assert (found.vectors(other), found.vectors(NEEDED)[0]) == ([(2.0, 2.5), (2.0, None)], (3, 5.0, 2.0, 0.2, 2.5))
    assert (len(calls), len(looks)) == (1, 1)


def test_origin_goes_through_as_it_is_written() -> None:
    """The receipt holds the event's place, whatever it says."""
    decoded = vectors().decode(message(origin=Origin("orders", 3, 99)))
    assert msgspec.json.decode(msgspec.json.encode(decoded.origin), type=Origin) == Origin("orders", 3, 99)


def test_null_is_nan() -> None:
    """And true is one."""
    assert np.array_equal(matrix([(None, True), (2, 0.5)]), np.array([[np.nan, 1], [2, 0.5]], np.float32), equal_nan=True)


def test_part_of_what_is_known_is_the_same_rows() -> None:
    """Some events of the batch have the rows that they have in the batch."""
    found = events(vectors(), *(message({"price": float(i)}) for i in range(4)))
    found.look_up(NEEDED, sizes)
    part = found.some((1, 3))
    assert complete(part) == [complete(found)[place] for place in (1, 3)]
    assert part.batch_of(NEEDED)[0] == [{"shops": 7}] * 2


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (None, "no value"),
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "Expected `object`"),
        (b'{"more": ' + b"[" * 100_000, "recursion"),
        (message(plan="0123456789ab"), "computed by plan '0123456789ab'"),
        (b'{"plan":"0123456789ab"}', "computed by plan '0123456789ab'"),
        (message(features={"by-shop__count": "3"}), "by-shop__count"),
        (message({"price": "10.0"}), "price"),
        (message({"shop": 2**63}), "shop"),
        (message(event_id=None), "event_id"),
        (message().replace(b"by-shop__mean", b"by-shop__max"), "missing required field `by-shop__mean`"),
    ],
)
def test_what_cannot_be_scored_is_told_apart(value: bytes | None, detail: str) -> None:
    """The dead letter's detail names the field, or the plan."""
    with pytest.raises(UnscorableError, match=detail):
        vectors().decode(value)


def test_function_that_gives_too_few_values_is_caught() -> None:
    """Columns go in, columns of the same length come out."""
    made = vectors(function=lambda columns: {"of_mean": [1.0], "of_size": []})
    with pytest.raises(DefinitionError, match="'of_size'"):
        complete(events(made, message()))


def test_input_that_the_plan_lacks_is_refused() -> None:
    """At the start, in one line."""
    with pytest.raises(DefinitionError, match="by-shop__p99"):
        needed_by(PLAN, ("by-shop__count", "by-shop__p99"))
