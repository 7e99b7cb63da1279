"""Predictions with their receipts: those on a topic now, or those of a file of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import msgspec

from features.errors import SettingError
from jobs.history.places import Written, opened, place
from jobs.history.served import Record


class _Line(msgspec.Struct):
    """A line of `headrace tail --json`: the prediction is in ``value``. One that is a prediction itself has none."""

    value: msgspec.Raw = msgspec.Raw()


def of_file(written: Written) -> Iterator[Record]:
    """The lines of a JSON Lines file, each a prediction, or a record as ``headrace tail --json`` prints it."""
    there = place(written, "receipts")
    if there.kind != "lines":
        raise SettingError(f"receipts are predictions as JSON Lines, .jsonl or .ndjson; got {there.text}; see docs/files.md")
    decode = msgspec.json.Decoder(_Line).decode
    for file in there.files:
        with opened(file) as stream:
            for number, line in enumerate(stream, 1):
                if line.isspace():
                    continue
                try:
                    value = bytes(decode(line).value)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    value = b""  # what is wrong with it is said of the line
                yield Record(f"{file}, line {number}", value or line)


def of_topic(client: Mapping[str, Any], topic: str, patience_ms: int = 30_000) -> Iterator[Record]:
    """All records that a topic has when this begins; ``client`` is what a kafka-python consumer is given.

    Raises `SettingError` where there is no such topic, and where Kafka gives nothing for ``patience_ms``.
    """
    from kafka import KafkaConsumer, TopicPartition

    with closing(KafkaConsumer(**client, enable_auto_commit=False, allow_auto_create_topics=False)) as consumer:
        places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        if not places:
            raise SettingError(f"receipts are on the topic of the predictions; no topic {topic}; name a file with --receipts")
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(one) < ends[one] for one in places):
            polled = consumer.poll(timeout_ms=patience_ms, max_records=5000)
            if not polled:
                raise SettingError(f"Kafka gives the records of {topic}; got none for {patience_ms // 1000} s; try again")
            for record in (record for records in polled.values() for record in records):
                if record.value is not None:
                    yield Record(f"{record.topic}-{record.partition}-{record.offset}", record.value)
