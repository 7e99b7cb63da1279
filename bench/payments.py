"""Made-up payments by card, and the plan of one stage over them: what the benches of shapes and of hot keys share."""

from __future__ import annotations

from features.plan import Column, ColumnType, Plan, Source, Stage, WindowFeature
from features.times import DAY_MS


def source(topic: str, *amounts: Column) -> Source:
    """Payments with these columns besides id, time and card."""
    keys = (Column("id", ColumnType("int64")), Column("at", ColumnType("timestamp")), Column("card", ColumnType("int64")))
    return Source(
        name="payments",
        topic=topic,
        columns=keys + amounts,
        time="at",
        event_id="id",
        history="payments.parquet",
        delay_ms=0,
    )


def plan(service: str, over: Source, features: tuple[WindowFeature, ...]) -> Plan:
    """Windows by card over one source, in arrival mode."""
    return Plan(
        service=service,
        spine=over.name,
        sources=(over,),
        windows=(Stage(over.name, ("card",), features),),
        on_demand=(),
        batch=(),
        inputs=tuple(f.name for f in features),
        mode="arrival",
        lateness_ms=DAY_MS,
    )
