"""Predictions as a scorer that served exactly what history says would have written them, for tests to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pyarrow as pa
from kafka import KafkaProducer

from features.inputs.arrow import floats
from features.inputs.columns import all_features
from features.plan import Plan
from features.service import Service
from infra.local.broker import Broker
from jobs.history.compute import compute
from schemas import FeatureVector, Origin, Prediction, Receipt
from schemas.codec import encode

WRITTEN_MS = 1_700_000_000_000
"""When the first of them was written; each is a second later than the one before."""


def history(service: Service, start_ms: int, end_ms: int) -> pa.Table:
    """All features of the events of a span."""
    return compute(service, wanted=all_features(service.plan), start_ms=start_ms, end_ms=end_ms)


def served(plan: Plan, table: pa.Table) -> Iterator[tuple[FeatureVector, Prediction]]:
    """The feature vector and the prediction of each row of `history`."""
    source = plan.spine_source
    for number, row in enumerate(floats(table).to_pylist()):
        at, origin = WRITTEN_MS + 1000 * number, Origin(source.topic, 0, number)
        event = {column.name: row[column.name] for column in source.columns}
        windows = {feature.name: row[feature.name] for feature in plan.window_features}
        vector = FeatureVector(
            event_id=row[source.event_id],
            event_time=row[source.time],
            plan=plan.short_digest,
            origin=origin,
            arrived_at=at,
            complete=True,
            event=event,
            features=windows,
        )
        yield vector, Prediction(vector.event_id, vector.event_time, 0.5, _receipt(plan, row, vector))


def changed(prediction: Prediction, inputs: dict[str, Any] | None = None, **changes: Any) -> Prediction:
    """With other inputs, and other fields of the receipt."""
    receipt = prediction.receipt
    receipt = msgspec.structs.replace(receipt, inputs={**receipt.inputs, **(inputs or {})}, **changes)
    return msgspec.structs.replace(prediction, receipt=receipt)


def write(broker: Broker, topic: str, records: Iterator[tuple[int, Any]] | list[tuple[int, Any]]) -> None:
    """Put messages on a topic of one partition, each at its time."""
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for at, message in records:
            producer.send(topic, encode(message), partition=0, timestamp_ms=at)
        producer.flush()


def _receipt(plan: Plan, row: dict[str, Any], vector: FeatureVector) -> Receipt:
    as_of = {view.view: row[f"_as_of_{view.view}"] for view in plan.batch if row[f"_as_of_{view.view}"] is not None}
    incomplete = {view.view: row[f"_incomplete_{view.view}"] for view in plan.batch if row[f"_incomplete_{view.view}"]}
    return Receipt(
        origin=vector.origin,
        plan=plan.short_digest,
        model="m",
        version=1,
        sha256="0",
        inputs={name: row[name] for name in plan.inputs},
        batch_as_of=as_of,
        complete=not incomplete,
        arrived_at=vector.arrived_at,
        featured_at=vector.arrived_at + 5,
        scored_at=vector.arrived_at + 7,
        incomplete=incomplete,
    )
