"""The scorer's dead letters: each feature vector that has no prediction, once, with the reason."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import structlog
from kafka.errors import KafkaError

from schemas import DeadLetter, Origin
from schemas.codec import UNREADABLE
from schemas.kafka.newest import LETTERS, newest_letters
from schemas.topics import DETAIL_LENGTH, dead_letter_value_bytes
from serving.kafka.predicted import EventId
from serving.predict.message import UnscorableError

SECONDS = 5.0
"""How long it may take to read them back."""

log = structlog.get_logger()


class _Id(msgspec.Struct):
    event_id: EventId


class _Written(msgspec.Struct):
    origin: Origin
    arrived_at: int
    value: bytes | None


_decode_id = msgspec.json.Decoder(_Id).decode
_decode_written = msgspec.json.Decoder(_Written).decode


class DeadLetters:
    """What is written of one features topic; ``longest`` is the longest record that Kafka takes of them.

    A vector that Flink writes again, at its restart or under a new plan, has another origin; it is known by its event.
    """

    def __init__(self, topic: str, longest: int) -> None:
        self._topic = topic
        self._value_bytes = dead_letter_value_bytes(longest)
        self._written: dict[object, None] = {}

    def read_back(self, consumer: Any) -> None:
        """Take note of what is written by now, by an earlier scorer or another one.

        ``consumer`` is a KafkaConsumer without a group; its assignment is replaced. A scorer that may not read them goes on.
        """
        try:
            for value in newest_letters(consumer, SECONDS):
                self._note(value)
        except KafkaError as error:
            log.warning("dead letters may be repeated: they cannot be read", error=repr(error))

    def _note(self, value: bytes | None) -> None:
        with suppress(*UNREADABLE):  # what is no dead letter is of no record
            letter = _decode_written(value or b"")
            if letter.origin.topic == self._topic:
                self._first_time(letter.origin, letter.arrived_at, letter.value)

    def of(self, record: Any, error: UnscorableError) -> DeadLetter | None:
        """The dead letter of a feature vector's record; None where one is written."""
        origin, value = Origin(record.topic, record.partition, record.offset), record.value
        if not self._first_time(origin, record.timestamp, value):
            return None
        detail = _line(str(error))
        if value is not None and len(value) > self._value_bytes:
            detail, value = f"{detail}; its {len(value)} bytes are left out", None
        return DeadLetter(error.reason, detail, origin, record.timestamp, value)

    def _first_time(self, origin: Origin, arrived_at: int, value: bytes | None) -> bool:
        names: list[object] = [(origin.partition, origin.offset, arrived_at)]
        with suppress(*UNREADABLE):
            names.append(_decode_id(value or b"").event_id)
        known = any(name in self._written for name in names)
        self._written.update(dict.fromkeys(names))
        while len(self._written) > 2 * LETTERS:
            del self._written[next(iter(self._written))]
        return not known


def _line(text: str) -> str:
    """The first line, as far as a person reads; what a function raised may be anything."""
    line = next(iter(text.splitlines()), "")
    cut = line if len(line) <= DETAIL_LENGTH else line[:DETAIL_LENGTH] + "…"
    return cut.encode(errors="replace").decode()  # half a surrogate pair is in no UTF-8
