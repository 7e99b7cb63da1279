"""Predictions with their receipts: those on a topic now, or those of a file of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from features.errors import SettingError
from jobs.history.places import Written, opened, place
from jobs.history.served import Record
from schemas.codec import UNREADABLE


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
                except UNREADABLE:
                    value = b""  # what is wrong with it is said of the line
                yield Record(f"{file}, line {number}", value or line)


def of_topic(records: Iterable[Any]) -> Iterator[Record]:
    """The records of a topic, as `jobs.audit.topics.read` gives them; those without a value say nothing."""
    for record in records:
        if record.value is not None:
            yield Record(f"{record.topic}-{record.partition}-{record.offset}", record.value)
