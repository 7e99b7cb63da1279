"""The panel of dead letters: records that could not be used, with their reason; and the replay of those that somebody chose.

A replay publishes a record again, as it was: its bytes, key and headers as Kafka has them, to its own partition. It is for a
cause that is gone: a model that could not score a vector and was replaced, an event ahead of the clock, a changed definition.
What is still wrong with an event makes it a dead letter again; of a feature vector the dead letter that is there already stands.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

import msgspec
import structlog
from kafka.errors import KafkaError, KafkaTimeoutError

from features.errors import StackError
from features.plan import Plan
from schemas.codec import UNREADABLE
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
"""How long Kafka may take for the records of one replay, all together."""
PRODUCER = {"request_timeout_ms": 4_000, "delivery_timeout_ms": 8_000}
"""What Kafka has not taken by then is not sent any more: whoever was told so may publish it again."""
CLOSE_SECONDS = 1.0

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
        topics, seen, found = topics_of(plan), 0, list[tuple[int, int, int, Letter]]()
        for record in self._tail.newest(DEAD_LETTERS.name, LOOKED_AT):
            seen += 1
            letter = _letter(record)
            if letter is not None and letter.origin.topic in topics:
                found.append((record.timestamp, record.partition, record.offset, letter))
        is_read = self._tail.is_whole and seen < LOOKED_AT
        if not found and not is_read:
            say = f"No dead letter of {service} among the newest {seen:,} of all services; there are older ones."
            return Empty(say, f"headrace tail {DEAD_LETTERS.name} --from-beginning")
        if not found:
            return Empty(f"No dead letter of {service}: every event that was read could be used.")
        is_all = is_read and len(found) <= MOST
        shown = [letter for *_, letter in sorted(found, key=lambda one: one[:3], reverse=True)[:MOST]]
        return Letters(shown, dict(Counter(letter.reason for letter in shown)), is_all)


def topics_of(plan: Plan) -> set[str]:
    """Where the records of a service's dead letters come from: its sources, and its feature vectors."""
    return {*(source.topic for source in plan.sources), plan.features_topic}


def _letter(record: Any) -> Letter | None:
    """None for what is no dead letter."""
    try:
        found = _decode(record.value or b"")
    except UNREADABLE:
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
    with closing(Tail(sources.reader)) as tail:
        found = list(tail.at(DEAD_LETTERS.name, places))
        letters = [_whole(record) for record in found]
        first = _first(tail, topics_of(plan), letters)
    wanted = [_record(plan, letter, _headers(record), first) for letter, record in zip(letters, found, strict=True)]
    try:
        producer = open_producer({**sources.client, **PRODUCER})
    except KafkaError as error:
        raise StackError(f"Kafka does not reply ({type(error).__name__}); 'headrace status' says what runs") from None
    until = time.monotonic() + SECONDS
    try:
        sent = [_sent(producer, one, until) for one in wanted]
        return [_published(place, one, until) for place, one in zip(places, sent, strict=True)]
    finally:
        with suppress(KafkaError):
            producer.close(timeout=CLOSE_SECONDS)


def _whole(record: Any) -> DeadLetter | None:
    """None for what is no dead letter."""
    try:
        return None if record is None else _decode(record.value or b"")
    except UNREADABLE:
        return None


def _first(tail: Tail, topics: set[str], letters: Sequence[DeadLetter | None]) -> dict[Origin, Any]:
    """The records that these dead letters are of, as far as Kafka has them."""
    found: dict[Origin, Any] = {}
    for topic in sorted(topics):
        origins = list(dict.fromkeys(letter.origin for letter in letters if letter is not None and letter.origin.topic == topic))
        if origins:
            found |= zip(origins, tail.at(topic, [(origin.partition, origin.offset) for origin in origins]), strict=True)
    return found


def _headers(record: Any) -> list[tuple[str, bytes]]:
    """Those of a record that kafka-python 3.0.12 sends: with a value."""
    return [] if record is None else [(name, value) for name, value in record.headers if value is not None]


def _record(
    plan: Plan, letter: DeadLetter | None, trace: list[tuple[str, bytes]], of_origins: Mapping[Origin, Any]
) -> dict[str, Any] | str:
    """What a producer is given for the record behind a dead letter, or why there is none; ``trace`` are the letter's headers."""
    if letter is None:
        return f"{DEAD_LETTERS.name} has no dead letter there any more; look again"
    origin = letter.origin
    if origin.topic not in topics_of(plan):
        return f"it is of {origin.topic}, which is no topic of {plan.service}; choose its service"
    first = of_origins[origin]
    to = {"topic": origin.topic, "partition": origin.partition}
    if first is not None:
        return {**to, "value": first.value, "key": first.key, "headers": _headers(first)}
    if letter.value is None:
        return f"neither {origin.topic} nor its dead letter has the record any more; publish the event anew"
    return {**to, "value": letter.value, "headers": trace}


def _sent(producer: Any, wanted: dict[str, Any] | str, until: float) -> Any:
    """A future of where it lies, or why there is none."""
    if isinstance(wanted, str):
        return wanted
    if time.monotonic() > until:
        return f"Kafka did not take it: others before it took {SECONDS:g} s"
    try:
        return producer.send(**wanted)
    except Exception as error:  # of a partition that is not there it is no error of Kafka's
        return f"Kafka did not take it: {type(error).__name__}"


def _published(place: tuple[int, int], sent: Any, until: float) -> Replayed:
    if isinstance(sent, str):
        return Replayed(*place, None, sent)
    try:
        lies = sent.get(timeout=max(0.0, until - time.monotonic()))
    except KafkaTimeoutError:
        return Replayed(
            *place, None, "Kafka has not said in time that it took it, and may have; look at the topic before another replay"
        )
    except KafkaError as error:
        return Replayed(*place, None, f"Kafka did not take it: {type(error).__name__}")
    origin = Origin(lies.topic, lies.partition, lies.offset)
    log.info("a dead letter was replayed", letter=f"{place[0]}:{place[1]}", origin=origin.text)
    return Replayed(*place, origin)


def letters_panel() -> Panel:
    """One with a consumer of its own."""
    return Panel("letters", "Kafka", LettersPanel(), 5)
