"""The panel of dead letters: records that could not be used, with their reason; and the replay of those that somebody chose.

A replay publishes a record again, as it was: its bytes, key and headers as Kafka has them, to its own partition. It is for a
cause that is gone: a model that could not score a vector and was replaced, an event ahead of the clock, a changed definition.
What is still wrong with it makes it a dead letter again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from kafka.errors import KafkaError

from features.errors import StackError
from features.plan import Plan
from schemas.dead_letter import DeadLetter
from schemas.features import Origin
from schemas.topics import DEAD_LETTERS
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources
from serving.http.page.tail import NO_KAFKA, Tail
from serving.http.sender import open_producer

LOOKED_AT = 300
"""Dead letters that are read, of all services."""
MOST = 100
"""Dead letters of a service that are shown, and that one request replays."""
PREVIEW = 400
"""Bytes of a record that are shown."""
SECONDS = 10.0
"""How long Kafka may take for the records of one replay."""

log = structlog.get_logger()
_decode = msgspec.json.Decoder(DeadLetter).decode


class Letter(msgspec.Struct, frozen=True):
    """One dead letter. Times are UTC milliseconds."""

    partition: int
    offset: int
    """Where it lies."""
    reason: str
    detail: str
    origin: Origin
    arrived_at: int
    preview: str
    """The beginning of the record; what is no UTF-8 is shown as `�`."""
    bytes: int | None
    """How long the record is; None: the dead letter does not have it."""


class Letters(msgspec.Struct, frozen=True):
    """The newest first."""

    letters: list[Letter]
    reasons: dict[str, int]
    """Of those that are shown."""
    is_all: bool
    """Whether the topic has no others of the service, as far as was looked."""


class Replayed(msgspec.Struct, frozen=True):
    """What became of one dead letter."""

    partition: int
    offset: int
    origin: Origin | None
    """Where its record lies now; None: it was not published."""
    error: str = ""


class LettersPanel:
    """The panel; one thread at a time calls it."""

    def __init__(self) -> None:
        self._tail: Tail | None = None

    def __call__(self, sources: Sources, service: str) -> Letters | Empty:
        """The newest dead letters of a service's topics. Raises `StackError` where Kafka is away."""
        plan = sources.plans.get(service)
        if plan is None or sources.reader is None:
            return NO_KAFKA
        self._tail = self._tail or Tail(sources.reader)
        topics, seen, found = topics_of(plan), 0, deque[Letter](maxlen=MOST)
        for record in self._tail.newest(DEAD_LETTERS.name, LOOKED_AT):
            seen += 1
            letter = _letter(record)
            if letter is not None and letter.origin.topic in topics:
                found.append(letter)
        if not found:
            return Empty(f"No dead letter of {service}: every event that was read could be used.")
        reasons: dict[str, int] = {}
        for letter in found:
            reasons[letter.reason] = reasons.get(letter.reason, 0) + 1
        return Letters(list(reversed(found)), reasons, seen < LOOKED_AT and len(found) < MOST)


def topics_of(plan: Plan) -> set[str]:
    """Where the records of a service's dead letters come from: its sources, and its feature vectors."""
    return {*(source.topic for source in plan.sources), plan.features_topic}


def _letter(record: Any) -> Letter | None:
    """None for what is no dead letter."""
    try:
        found = _decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    value = found.value
    preview = "" if value is None else value[:PREVIEW].decode(errors="replace")
    length = None if value is None else len(value)
    return Letter(record.partition, record.offset, found.reason, found.detail, found.origin, found.arrived_at, preview, length)


def replay(sources: Sources, service: str, places: Sequence[tuple[int, int]]) -> list[Replayed]:
    """Publish the records of the dead letters at these places again, each on its own partition; gives what became of each.

    Raises `StackError` where Kafka is away.
    """
    plan = sources.plans.get(service)
    if plan is None or sources.reader is None or sources.client is None:
        raise StackError("a replay publishes to Kafka; it is not known where that is; start it with 'headrace up'")
    tail = Tail(sources.reader)
    try:
        letters = list(tail.at(DEAD_LETTERS.name, places))
        wanted = [_record(tail, plan, letter) for letter in letters]
    finally:
        tail.close()
    try:
        producer = open_producer(sources.client)
    except KafkaError as error:
        raise StackError(f"Kafka does not reply ({type(error).__name__}); 'headrace status' says what runs") from None
    try:
        return [_published(producer, place, one) for place, one in zip(places, wanted, strict=True)]
    finally:
        producer.close(timeout=SECONDS)


def _record(tail: Tail, plan: Plan, found: Any) -> dict[str, Any] | str:
    """What a producer is given for the record behind a dead letter, or why there is none."""
    try:
        letter = None if found is None else _decode(found.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        letter = None
    if letter is None:
        return f"{DEAD_LETTERS.name} has no dead letter there any more; look again"
    origin = letter.origin
    if origin.topic not in topics_of(plan):
        return f"it is of {origin.topic}, which is no topic of {plan.service}; choose its service"
    first = next(iter(tail.at(origin.topic, [(origin.partition, origin.offset)])), None)
    to = {"topic": origin.topic, "partition": origin.partition}
    if first is not None:
        return {**to, "value": first.value, "key": first.key, "headers": list(first.headers)}
    if letter.value is None:
        return f"neither {origin.topic} nor its dead letter has the record any more; publish the event anew"
    return {**to, "value": letter.value}


def _published(producer: Any, place: tuple[int, int], wanted: dict[str, Any] | str) -> Replayed:
    if isinstance(wanted, str):
        return Replayed(*place, None, wanted)
    try:
        sent = producer.send(**wanted).get(timeout=SECONDS)
    except KafkaError as error:
        return Replayed(*place, None, f"Kafka did not take it: {type(error).__name__}")
    origin = Origin(sent.topic, sent.partition, sent.offset)
    log.info("a dead letter was replayed", letter=f"{place[0]}:{place[1]}", origin=origin.text)
    return Replayed(*place, origin)


def letters_panel() -> Panel:
    """One with a consumer of its own."""
    return Panel("letters", "Kafka", LettersPanel(), 5)
