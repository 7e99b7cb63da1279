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
from serving.predict.vector import Vectors, slice_of

pytestmark = pytest.mark.core

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


def vectors(plan: Plan = PLAN, inputs: Sequence[str] = PLAN.inputs) -> Vectors:
    """Of the plan, with its one function."""
    return Vectors(plan, inputs, {"ratio": ratio})


def complete(made: Vectors, *messages: bytes) -> list[tuple[Any, ...]]:
    """The input vectors of some messages."""
    return list(made.complete(made.look_up([made.decode(m) for m in messages], sizes)))


def test_inputs_stand_in_the_models_order() -> None:
    """Not in the plan's: the model may have been trained with fewer, in another order."""
    made = vectors(inputs=("shops__age", "by-shop__count"))
    assert complete(made, message(), message(features={"by-shop__count": 4})) == [(2.5, 3), (2.5, 4)]


def test_functions_see_event_window_and_batch_columns() -> None:
    """An on-demand function gets its inputs under its own names, the whole batch in one call."""
    calls: list[Mapping[str, list[Any]]] = []

    def spying(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        calls.append(columns)
        return ratio(columns)

    made = Vectors(PLAN, PLAN.inputs, {"ratio": spying})
    rows = complete(made, message(), message({"shop": 2, "price": 4.0}))
    assert calls == [{"price": [10.0, 4.0], "mean": [5.0, 5.0], "size": [50, None]}]
    assert rows == [(3, 5.0, 2.0, 0.2, 2.5), (3, 5.0, 0.8, None, None)]


def test_time_of_the_batch_row_is_told() -> None:
    """And is absent where there is no row."""
    made = vectors()
    known = made.look_up([made.decode(message()), made.decode(message({"shop": 2}))], sizes)
    assert known.batch_as_of == [{"shops": 7}, {}]
    assert known.incomplete == [{}, {"shops": "missing"}]


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
    made = vectors(plan, ("shops__age",))
    known = made.look_up([made.decode(message(event_time=event_time, plan=plan.short_digest))], sizes)
    assert known.batch_as_of == [{"shops": 7}]
    assert known.incomplete == [{"shops": reason} if reason else {}]
    assert made.complete(known) == [(None if reason else 2.5,)]


def test_only_what_the_model_needs_is_read() -> None:
    """No batch view is read, no function called, and no other field decoded for a model of windows."""
    made = Vectors(PLAN, ["by-shop__count"], {})
    assert not made.batch
    assert not made.on_demand
    assert complete(made, message({"price": "unread"}, {"by-shop__mean": "unread"})) == [(3,)]


def test_origin_goes_through_as_it_is_written() -> None:
    """The receipt holds the event's place, whatever it says."""
    decoded = vectors().decode(message(origin=Origin("orders", 3, 99)))
    assert msgspec.json.decode(msgspec.json.encode(decoded.origin), type=Origin) == Origin("orders", 3, 99)


def test_null_is_nan() -> None:
    """And true is one."""
    assert np.array_equal(matrix([(None, True), (2, 0.5)]), np.array([[np.nan, 1], [2, 0.5]], np.float32), equal_nan=True)


def test_part_of_what_is_known_is_the_same_rows() -> None:
    """A slice of the batch gives the rows that the batch gave."""
    made = vectors()
    known = made.look_up([made.decode(message({"price": float(i)})) for i in range(4)], sizes)
    assert made.complete(slice_of(known, slice(1, 3))) == made.complete(known)[1:3]


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (None, "no value"),
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "Expected `object`"),
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
    made = Vectors(PLAN, PLAN.inputs, {"ratio": lambda columns: {"of_mean": [1.0], "of_size": []}})
    with pytest.raises(DefinitionError, match="'of_size'"):
        complete(made, message())


def test_input_that_the_plan_lacks_is_refused() -> None:
    """At the start, in one line."""
    with pytest.raises(DefinitionError, match="by-shop__p99"):
        vectors(inputs=("by-shop__count", "by-shop__p99"))
