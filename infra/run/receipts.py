"""What the newest predictions of a service say of their batch rows: which had none to use, and how old the others were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from typing import Any

import msgspec
from kafka import TopicPartition

from features.inputs.batch_rows import STALE_MS
from features.plan import BatchView, Plan
from features.times import duration_text, short_duration_text
from schemas.codec import UNREADABLE
from schemas.kafka.consumer import KafkaConsumer

NEWEST = 1000
"""Predictions that are looked at, of all partitions together."""
PATIENCE_MS = 2000
READER: dict[str, Any] = {"enable_auto_commit": False, "allow_auto_create_topics": False, "bootstrap_timeout_ms": PATIENCE_MS}


class _Receipt(msgspec.Struct):
    """The part of a receipt that is looked at."""

    batch_as_of: dict[str, int]
    incomplete: dict[str, str] = {}


class Told(msgspec.Struct):
    """The part of a prediction that is looked at."""

    event_time: int
    receipt: _Receipt


def newest(client: Mapping[str, Any], topic: str, count: int = NEWEST) -> list[Told]:
    """The newest predictions, about ``count`` of them; fewer where Kafka does not give them in two seconds."""
    decode, found = msgspec.json.Decoder(Told).decode, list[Told]()
    with closing(KafkaConsumer(**client, **READER)) as consumer:
        places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        if not places:
            return []
        consumer.assign(places)
        first, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, max(first[place], ends[place] - -(-count // len(places))))
        while any(consumer.position(place) < ends[place] for place in places):
            polled = consumer.poll(timeout_ms=PATIENCE_MS)
            if not polled:
                break
            for record in (record for records in polled.values() for record in records):
                with suppress(*UNREADABLE):  # no prediction
                    found.append(decode(record.value or b""))
    return found


def warnings(plan: Plan, predictions: Iterable[Told]) -> list[str]:
    """A line for each batch view of which the predictions do not have what they should."""
    predictions = list(predictions)
    return [line for view in plan.batch for line in [_of_view(plan, view, predictions)] if line]


def _of_view(plan: Plan, view: BatchView, predictions: list[Told]) -> str:
    reasons = [told.receipt.incomplete[view.view] for told in predictions if view.view in told.receipt.incomplete]
    ages = [
        told.event_time - told.receipt.batch_as_of[view.view]
        for told in predictions
        if view.view in told.receipt.batch_as_of and view.view not in told.receipt.incomplete
    ]
    stale = [age for age in ages if age > STALE_MS and not view.ttl_ms]
    said = [f"{reasons.count(reason):,} without a row, as it is {reason}" for reason in sorted(set(reasons))]
    if stale:
        oldest = short_duration_text(max(stale))
        said.append(f"{len(stale):,} with a row that was older than {duration_text(STALE_MS)} at the event, up to {oldest}")
    if not said:
        return ""
    advice = f"run 'headrace batch-views {plan.service} --push'"
    return f"batch view '{view.view}': of the last {len(predictions):,} predictions, {'; '.join(said)}; {advice}"
