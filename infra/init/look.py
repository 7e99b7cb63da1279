"""A look at events that are there: of a file, or of a topic's newest records."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from features.errors import SettingError
from features.sql.quoting import quoted
from features.times import ALWAYS, day_of
from infra.init.columns import Column, of_fractions, of_integers, of_json
from infra.local import topics
from jobs.history.files import INTEGERS, TIMES, connect, rows_as_they_are

ROWS = 10_000
"""Of a file that are looked at."""
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


def of_file(path: Path) -> Look:
    """The columns of a Parquet, CSV or JSON lines file; raises `SettingError` where it cannot be read or has no rows."""
    with connect() as connection:
        rows = rows_as_they_are(connection, path, ALWAYS)
        names = list(rows.types)
        found = connection.execute(f"SELECT {', '.join(map(quoted, names))} FROM {rows.table} LIMIT {ROWS}").fetchall()
    if not found:
        raise SettingError(f"a schema is proposed from events; {path} has no rows; name another file")
    whole = path.suffix != ".parquet"  # a text says nothing of its type
    columns = [_of_file(name, rows.types[name], [row[at] for row in found], whole) for at, name in enumerate(names)]
    return Look(str(path), tuple(columns), len(found))


def of_both(file: Look, topic: Look) -> Look:
    """The columns that a topic's events have, with the types of the file of their history, and of the file what is left."""
    sent = {column.name for column in topic.columns if column.type}
    absent = "no event of the topic has it"
    columns = tuple(c if c.name in sent else msgspec.structs.replace(c, type="", remark=absent) for c in file.columns)
    return Look(f"{file.at} and {topic.at}", columns, file.events, topic.key)


def whole_days(path: Path, column: str) -> tuple[date, int]:
    """The first day of a file that is there from its midnight on, and how many such days follow each other from there."""
    with connect() as connection:
        rows = rows_as_they_are(connection, path, ALWAYS)
        value = rows.values[column]
        first, last = connection.execute(f"SELECT min({value}), max({value}) FROM {rows.table}").fetchall()[0]
    start, end = day_of(int(first)), day_of(int(last))
    return start + timedelta(days=1), max((end - start).days - 1, 0)


def of_topic(client: Mapping[str, Any], topic: str) -> Look:
    """The fields of the newest records of a topic; raises `SettingError` where there are none, or none is a JSON object."""
    topics.require(client, topic)
    with topics.connected(client):
        records = sorted(_newest(client, topic), key=lambda record: int(record.timestamp))
    if not records:
        raise SettingError(f"a schema is proposed from events; topic '{topic}' has none; publish some, or use --from-file")
    events = [(record, event) for record in records if (event := _object(record.value)) is not None]
    if not events:
        raise SettingError(f"events are JSON objects; none of {len(records)} records of topic '{topic}' is one; use --from-file")
    names = dict.fromkeys(name for _, event in events for name in event)
    columns = tuple(of_json(name, [event.get(name) for _, event in events]) for name in names)
    lines = tuple(msgspec.json.format(record.value, indent=-1) for record, _ in events)
    return Look(f"topic '{topic}'", columns, len(events), _key(columns, events), lines)


def _of_file(name: str, found: str, values: Sequence[Any], whole: bool) -> Column:
    there = tuple(value for value in values if value is not None)
    written = of_json(name, ["" if value is not None else None for value in values])  # its name, and whether it has values
    if not written.type:
        return written
    if found in TIMES:
        return Column(name, "timestamp", there)
    if found in INTEGERS:
        return of_integers(name, there)
    if found in ("FLOAT", "DOUBLE"):
        return of_fractions(name, there) if whole else Column(name, "double", there)
    decimal = found.removeprefix("DECIMAL").strip("()").split(",") if found.startswith("DECIMAL") else []
    if decimal and int(decimal[0]) <= 18:
        return Column(name, found.lower(), there)
    kinds = {"VARCHAR": "string", "BOOLEAN": "boolean"}
    if found not in kinds:
        return Column(name, "", remark=f"its type, {found}, is none of a schema's")
    return Column(name, kinds[found], there)


def _newest(client: Mapping[str, Any], topic: str) -> Iterator[Any]:
    from kafka import KafkaConsumer, TopicPartition

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


def _object(value: bytes | None) -> dict[str, Any] | None:
    try:
        event = json.loads(value or b"", parse_float=Decimal)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _key(columns: Iterable[Column], events: Sequence[tuple[Any, dict[str, Any]]]) -> str | None:
    """The column that each record's key is of."""
    for column in columns:
        keys = (str(event.get(column.name)).encode() for _, event in events)
        if column.type in ("long", "string") and all(key == record.key for key, (record, _) in zip(keys, events, strict=True)):
            return column.name
    return None
