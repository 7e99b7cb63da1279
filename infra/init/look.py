"""A look at events that are there: of a topic's newest records here, of a file in `infra.init.files`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any

import msgspec

from features.errors import SettingError
from infra.init.columns import Column, of_json
from infra.local import topics

RECORDS = 1000
"""Of each partition, the newest, that are looked at."""
SILENT_SECONDS = 10.0


class Look(msgspec.Struct, frozen=True):
    """What was found."""

    at: str
    """What was looked at, for a person."""
    columns: tuple[Column, ...]
    events: int
    """How many were looked at."""
    key: str | None = None
    """Of a topic: the column whose value is the key of each record."""
    lines: tuple[bytes, ...] = ()
    """Of a topic: its events, in order of arrival."""


def of_both(file: Look, topic: Look, label: str | None) -> Look:
    """The columns of a topic's events and the label, with the types of the file of their history; its others are left out."""
    sent = {label, *(column.name for column in topic.columns if column.type)}
    absent = "no event of the topic has it"
    columns = tuple(c if c.name in sent else msgspec.structs.replace(c, type="", remark=absent) for c in file.columns)
    return Look(f"{file.at} and {topic.at}", columns, file.events, topic.key)


def of_topic(client: Mapping[str, Any], topic: str) -> Look:
    """The fields of the newest records of a topic; raises `SettingError` where there are none, or none is a JSON object."""
    topics.require(client, topic)
    with topics.connected(client):
        records = sorted(_newest(client, topic), key=lambda record: int(record.timestamp))
    if not records:
        raise SettingError(f"a schema is proposed from events; topic '{topic}' has none; publish some, or use --from-file")
    events = [(record, event) for record in records if (event := object_of(record.value)) is not None]
    if not events:
        raise SettingError(f"events are JSON objects; none of {len(records)} records of topic '{topic}' is one; use --from-file")
    names = dict.fromkeys(name for _, event in events for name in event)
    columns = tuple(of_json(name, [event.get(name) for _, event in events]) for name in names)
    lines = tuple(msgspec.json.format(record.value, indent=-1) for record, _ in events)
    return Look(f"topic '{topic}'", columns, len(events), _key(columns, events), lines)


def _newest(client: Mapping[str, Any], topic: str) -> Iterator[Any]:
    from kafka import TopicPartition

    from schemas.kafka.consumer import KafkaConsumer

    with closing(KafkaConsumer(**client, enable_auto_commit=False)) as consumer:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        starts, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, max(starts[place], ends[place] - RECORDS))
        heard = time.monotonic()
        while any(consumer.position(place) < ends[place] for place in places) and time.monotonic() < heard + SILENT_SECONDS:
            for records in consumer.poll(timeout_ms=200).values():
                heard = time.monotonic()
                yield from records


def object_of(value: bytes | None) -> dict[str, Any] | None:
    """A JSON object, its fractions as `Decimal`; None for whatever is none."""
    try:
        event = json.loads(value or b"", parse_float=Decimal, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _key(columns: Iterable[Column], events: Sequence[tuple[Any, dict[str, Any]]]) -> str | None:
    """The column that each record's key is of."""
    for column in columns:
        keys = (str(event.get(column.name)).encode() for _, event in events)
        if column.type in ("long", "string") and all(key == record.key for key, (record, _) in zip(keys, events, strict=True)):
            return column.name
    return None
