"""What the job of outcomes is by its plan, and what it does not depend on."""

from __future__ import annotations

import msgspec

from features.outcomes import OutcomesPlan, outcomes_plan
from features.plan import Column, ColumnType, Plan, Source
from features.sql.flink.options import job_group
from features.sql.flink.outcomes import outcomes_sql
from features.sql.flink.sinks import NO_ROW
from tests.support.options import options

HOUR = 3_600_000
INT, TEXT = ColumnType("int64"), ColumnType("string")
ORDERS = Source("orders", "orders", (Column("id", TEXT), Column("at", ColumnType("timestamp"))), "at", "id", "", 0)
RETURNS = Source(
    "returns",
    "returned",
    (Column("order", TEXT), Column("at", ColumnType("timestamp")), Column("why", TEXT), Column("bad", ColumnType("bool"))),
    "at",
    "order",
    "data/returns.parquet",
    5 * HOUR,
)
PLAN = Plan("s", "orders", (ORDERS,), (), (), (), (), "arrival", HOUR)


def planned(plan: Plan = PLAN, horizon_ms: int = HOUR, source: Source = RETURNS) -> OutcomesPlan:
    """The job for the label ``returns.bad``."""
    return outcomes_plan(plan, source, source.column("bad"), horizon_ms)


def test_a_plan_that_takes_over_leaves_the_job_as_it_is() -> None:
    """Its state and its group are those of before: nothing of the features is in it."""
    other = msgspec.structs.replace(PLAN, sources=(ORDERS, RETURNS), lateness_ms=1, mode="event_time")
    assert planned(other).digest == planned().digest
    assert (planned().name, job_group("headrace", planned(), is_beside=False)) == ("outcomes.s", "headrace.outcomes.s")


def test_another_horizon_or_label_is_another_state() -> None:
    """Labels that were beyond the horizon have not been kept. A column that is not read is no matter."""
    assert planned(horizon_ms=2 * HOUR).digest != planned().digest
    moved = msgspec.structs.replace(RETURNS, topic="elsewhere")
    assert planned(source=moved).digest != planned().digest
    more = msgspec.structs.replace(RETURNS, columns=(*RETURNS.columns, Column("more", INT)))
    assert planned(source=more).digest == planned().digest


def test_dead_letters_of_labels_are_written_by_one_job() -> None:
    """By the service's own where that reads their topic."""
    alone = outcomes_sql(planned(), options()).inserts
    assert sum("INSERT INTO `_dead_letters`" in insert and NO_ROW not in insert for insert in alone) == 2
    beside = outcomes_sql(planned(msgspec.structs.replace(PLAN, sources=(ORDERS, RETURNS))), options()).inserts
    (of_labels,) = (insert for insert in beside if "INSERT INTO `_dead_letters`" in insert and "returned" in insert)
    assert of_labels.endswith(f"AND {NO_ROW}")
    assert [insert for insert in beside if insert != of_labels] == [*alone[:2]]


def test_the_event_id_has_the_type_of_the_spine() -> None:
    """A text, or a whole number."""
    assert "`event_id` STRING" in outcomes_sql(planned(), options()).text
    numbered = msgspec.structs.replace(ORDERS, columns=(Column("id", INT), ORDERS.columns[1]))
    assert "CAST(`_id` AS BIGINT)" in outcomes_sql(planned(msgspec.structs.replace(PLAN, sources=(numbered,))), options()).text


def test_a_prediction_may_be_of_any_age() -> None:
    """Its event was young enough when it was predicted, or it would have a dead letter; labels are held to the setting."""
    predictions, labels = outcomes_sql(planned(), options(max_age_days=1)).setup[-6:-4]
    assert "CREATE TEMPORARY TABLE `_predictions`" in predictions
    assert "'headrace-event.max-age-ms' = '4611686018427387904'" in predictions
    assert "'headrace-event.max-age-ms' = '86400000'" in labels
