"""Predictions and dead letters as they arrive on Kafka, for those who wait for them over HTTP: one consumer, on a thread."""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from http import HTTPStatus
from threading import Event, Thread
from typing import Any

import msgspec
import structlog

from features.plan import Plan
from schemas import DeadLetter
from schemas.codec import UNREADABLE, decode_dead_letter
from schemas.topics import DEAD_LETTERS
from serving.http.event_rules import EventId, Refusal
from serving.http.ledger import Ledger, Name, Outcome
from serving.http.positions import GROW_SECONDS, Offsets, ends, go_on, grow, partitions
from serving.kafka.clients import PollingConsumer

POLL_MS = 200
RETRY_SECONDS = 1.0
CLOSE_SECONDS = 5.0

log = structlog.get_logger()

IdOf = Callable[[bytes], EventId | None]
Arrived = tuple[Name, str, Outcome]


class _Id(msgspec.Struct):
    event_id: EventId


_decode_id = msgspec.json.Decoder(_Id).decode


class Arrivals:
    """Reads the predictions of ``plans`` from their ends on, and hands those that are wanted to the ledger.

    Of a prediction that nobody wants the id alone is decoded. ``reader`` is what a consumer is given; ``ids`` have for each topic
    what gives the id in an event's bytes.
    """

    def __init__(self, plans: Sequence[Plan], reader: dict[str, Any], ledger: Ledger, ids: Mapping[str, IdOf]) -> None:
        self._reader, self._ledger, self._ids = reader, ledger, ids
        self._services = {plan.predictions_topic: (plan.service, plan.spine_source.topic) for plan in plans}
        self._vectors = {plan.features_topic: plan for plan in plans}
        self._topics = (*self._services, DEAD_LETTERS.name)
        self._offsets: Offsets = {}
        self.loop: AbstractEventLoop | None = None
        """Where the ledger is; none as long as nothing was published."""
        self.placed = Event()
        """Set once it is known from where on is read: a prediction that was written before is never seen."""
        self._stop = Event()
        self._thread = Thread(target=self._run, name="arrivals", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Read no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        said = ""
        while not self._stop.is_set():
            try:
                with closing(PollingConsumer(**self._reader)) as consumer:
                    self._read(consumer)
            except Exception as error:  # of a client's every corner: whoever waits has a response by its deadline
                if repr(error) != said:
                    log.warning("predictions are not read", error=repr(error))
                said = repr(error)
                self._stop.wait(RETRY_SECONDS)

    def _read(self, consumer: Any) -> None:
        """From where it was, until the service ends."""
        if not self._offsets:
            self._offsets = ends(consumer, partitions(consumer, self._topics))
        self.placed.set()
        go_on(consumer, self._offsets)
        look_at = time.monotonic() + GROW_SECONDS
        while not self._stop.is_set():
            polled = consumer.poll(timeout_ms=POLL_MS)
            if self._ledger:  # what nobody can wait for is not even decoded
                self._hand_over([one for records in polled.values() for record in records for one in self._of(record)])
            self._offsets |= {place: records[-1].offset + 1 for place, records in polled.items()}
            if time.monotonic() > look_at:
                grow(consumer, self._topics, self._offsets)
                look_at = time.monotonic() + GROW_SECONDS

    def _hand_over(self, found: list[Arrived]) -> None:
        if found and self.loop is not None:
            with suppress(RuntimeError):  # the loop has ended: nobody waits
                self.loop.call_soon_threadsafe(self._ledger.arrived, found)

    def _of(self, record: Any) -> Iterator[Arrived]:
        """What a record says of events that were published here."""
        try:
            if record.topic == DEAD_LETTERS.name:
                yield from self._of_letter(decode_dead_letter(record.value or b""))
                return
            service, topic = self._services[record.topic]
            name = Name(topic, _decode_id(record.value or b"").event_id)
        except UNREADABLE:  # what is no message of ours is of nobody
            return
        if self._ledger.has(name):
            yield name, service, record.value

    def _of_letter(self, letter: DeadLetter) -> Iterator[Arrived]:
        """A dead letter is of the event, for all services that read it, or of one service's feature vector."""
        if letter.value is None:
            return
        found: EventId | None
        plan = self._vectors.get(letter.origin.topic)
        if plan is not None:
            services, topic, found = [plan.service], plan.spine_source.topic, _decode_id(letter.value).event_id
        else:
            topic = letter.origin.topic
            services = [service for service, spine in self._services.values() if spine == topic]
            found = self._ids[topic](letter.value) if services else None
        if found is None or not self._ledger.has(Name(topic, found)):
            return
        refusal = Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, found, f"the event is a dead letter: {letter.reason}; {letter.detail}")
        for service in services:
            yield Name(topic, found), service, refusal
