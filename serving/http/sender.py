"""Events on their way to Kafka, from a thread of its own: no call of Kafka's client holds up the event loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import partial
from http import HTTPStatus
from queue import SimpleQueue
from threading import Event as Flag
from threading import Thread
from typing import Any, NamedTuple

import structlog
from kafka import KafkaProducer
from kafka.errors import AuthorizationError, KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RecordListTooLargeError

from schemas import Origin
from schemas.kafka.consumer import KafkaConsumer
from schemas.kafka.newest import newest
from serving.http.config import KafkaConfig
from serving.http.event_rules import Event, EventRules, Refusal
from serving.http.ledger import Ledger, Name, Sent, other_values
from serving.kafka.clients import SendingClient, attend
from serving.kafka.config import SENDER

BLOCK_MS = 1_000
"""How long a send may wait for a topic's partitions."""
ABSENT_SECONDS = 5.0
"""A topic that is not there is looked for so often: events to others do not wait for it."""
NEWEST, READ_BACK_SECONDS = 5_000, 10.0
"""Events that are read back of each partition, and how long that may take."""
RETRY_SECONDS = 0.5
PLACED_SECONDS, LOOK_SECONDS = 5.0, 0.05
"""How long the first event waits at most for those who read predictions, and how often it is looked whether the service ends."""
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
OF_AN_EVENT = (*TOO_LARGE, AuthorizationError, KafkaTimeoutError)
"""Errors after which a producer goes on; after others it may be done for good."""
CLOSE_SECONDS = 5.0

ABSENT = KafkaTimeoutError("the topic's partitions are not known")

log = structlog.get_logger()

Headers = list[tuple[str, bytes]]


class Wanted(NamedTuple):
    """An event to publish."""

    name: Name
    event: Event
    headers: Headers
    sent: Sent


class Sender:
    """Publishes what is `put`, and tells the ledger; ``rules`` are those of the topics.

    An event that Kafka does not take in time stays with the producer for two minutes: it is published once Kafka is back, and a
    repeat in between is the same event. Before the first the newest events of each topic are read back: what was published
    shortly before the service was started again, by it or by another producer, is not published again. And ``placed`` is waited
    for, within a bound: whoever reads predictions knows from where on.
    """

    def __init__(self, kafka: KafkaConfig, rules: Mapping[str, EventRules], ledger: Ledger, placed: Flag) -> None:
        self._kafka, self._rules, self._ledger, self._placed = kafka, rules, ledger, placed
        self._before: dict[Name, tuple[int, Origin]] | None = None
        self._queue: SimpleQueue[Wanted | None] = SimpleQueue()
        self._stop = Flag()
        self._producer: Any = None
        self._is_spoiled = False
        self._absent: dict[str, float] = {}
        self._thread = Thread(target=self._run, name="publish", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def put(self, wanted: Wanted) -> None:
        """Publish it."""
        self._queue.put(wanted)

    def close(self) -> None:
        """Publish what was put, within a bound of time, and end."""
        self._stop.set()
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(2 * CLOSE_SECONDS)

    def _run(self) -> None:
        self._connect()
        self._await_place()
        while (wanted := self._queue.get()) is not None:
            self._send(wanted)
        self._close()

    def _close(self) -> None:
        if self._producer is not None:
            with suppress(KafkaError):
                self._producer.close(timeout=CLOSE_SECONDS)
        self._producer = None

    def _renew(self) -> None:
        """Another producer, where this one has failed for good."""
        if self._is_spoiled:
            self._close()
            self._is_spoiled = False
        self._connect()

    def _connect(self) -> None:
        """Open a producer, as soon as Kafka replies; before the first look at what is there."""
        said = ""
        while self._producer is None and not self._stop.is_set():
            try:
                if self._before is None:
                    self._before = self._read_back()
                self._producer = open_producer(self._kafka.client)
            except Exception as error:  # Kafka's, mostly; whatever it is, whoever waits has a response by its deadline
                if repr(error) != said:
                    log.warning("events are not published as yet", error=repr(error))
                said = repr(error)
                self._stop.wait(RETRY_SECONDS)

    def _await_place(self) -> None:
        """Else a prediction may be written before it is known from where on they are read: it would never be seen."""
        deadline = time.monotonic() + PLACED_SECONDS
        while not (self._placed.wait(LOOK_SECONDS) or self._stop.is_set() or time.monotonic() > deadline):
            pass

    def _send(self, wanted: Wanted) -> None:
        self._renew()
        name, event, tell = wanted.name, wanted.event, partial(self._tell, wanted)
        if self._producer is None:  # the service ends, and Kafka was never there
            tell(None, KafkaError("Kafka does not reply"))
            return
        known = self._before.get(name) if self._before else None
        if known is not None:
            content, origin = known
            self._say(wanted, origin if content == event.content else other_values(event.id))
            return
        if self._absent.get(name.topic, 0.0) > time.monotonic():
            tell(None, ABSENT)
            return
        try:
            future = self._producer.send(name.topic, value=event.value, key=event.key, headers=wanted.headers)
        except KafkaTimeoutError:
            self._absent[name.topic] = time.monotonic() + ABSENT_SECONDS
            tell(None, ABSENT)
            return
        except Exception as error:  # a producer that has failed for good raises anything
            tell(None, error)
            return
        future.add_callback(lambda record: tell(record, None))
        future.add_errback(lambda error: tell(None, error))

    def _tell(self, wanted: Wanted, record: Any, error: BaseException | None) -> None:
        if error is None:
            self._say(wanted, Origin(record.topic, record.partition, record.offset))
            return
        self._is_spoiled |= not (isinstance(error, OF_AN_EVENT) or getattr(error, "retriable", False))
        log.warning("an event was not published", topic=wanted.name.topic, error=repr(error))
        self._say(wanted, _refusal(wanted, error))

    def _say(self, wanted: Wanted, result: Origin | Refusal) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            loop = wanted.sent.published.get_loop()
            loop.call_soon_threadsafe(self._ledger.published, wanted.name, wanted.sent, result)

    def _read_back(self) -> dict[Name, tuple[int, Origin]]:
        """The newest events by their names: a digest of their content, and where they lie."""
        found = {}
        with closing(KafkaConsumer(**self._kafka.reader)) as consumer:
            for record in newest(consumer, self._rules, NEWEST, READ_BACK_SECONDS):
                event = self._rules[record.topic].one(record.value or b"")
                if isinstance(event, Event):
                    found[Name(record.topic, event.id)] = event.content, Origin(record.topic, record.partition, record.offset)
        log.info("events read back", count=len(found))
        return found


def open_producer(client: dict[str, Any]) -> Any:
    """A producer that sends at once, waits for all replicas, and writes a record that it sends again once."""
    own = {"acks": "all", "max_block_ms": BLOCK_MS, "allow_auto_create_topics": False}
    producer = KafkaProducer(**{**SENDER, **own}, **client, kafka_client=SendingClient)
    attend(producer)
    return producer


def _refusal(wanted: Wanted, error: BaseException) -> Refusal:
    """What a client is told of Kafka's error."""
    kind = type(error).__name__
    if isinstance(error, TOO_LARGE):
        what = f"an event is no longer than its topic takes; Kafka refused {len(wanted.event.value)} bytes ({kind})"
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, wanted.event.id, what)
    what = f"Kafka did not take the event: {kind}; try again with the same event id"
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, wanted.event.id, what)
