"""What was published over HTTP, by event id: a repeat is not published again, and whoever waits hears what became of it.

It is bounded. An event that is no longer here is published again where it is repeated: windows count it twice then, and the
scorer, which remembers more (`scorer.dedupe_window`), gives it no second prediction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple

from schemas import Origin
from serving.http.event_rules import Event, EventId, Refusal

PENDING, PENDING_BYTES = 10_000, 64 * 2**20
"""Events that wait for Kafka at most: a producer of kafka-python 3.0 has no bound of its own."""
KEPT_BYTES = 128 * 2**20
"""What the predictions that are remembered may take."""

Outcome = bytes | Refusal
"""A prediction, as it is on its topic, or why there is none."""


class Name(NamedTuple):
    """An event: ids are those of a topic."""

    topic: str
    id: EventId


class Sent:
    """An event that was handed to Kafka."""

    __slots__ = ("_outcomes", "content", "published", "size")

    def __init__(self, event: Event) -> None:
        self.content = event.content
        self.size = len(event.value)
        self.published: asyncio.Future[Origin | Refusal] = asyncio.get_running_loop().create_future()
        """Where Kafka has it, or why it doesn't."""
        self._outcomes: dict[str, asyncio.Future[Outcome]] = {}

    def outcome(self, service: str) -> asyncio.Future[Outcome]:
        """What ``service`` makes of it."""
        if service not in self._outcomes:
            self._outcomes[service] = self.published.get_loop().create_future()
        return self._outcomes[service]

    def has_outcome(self, service: str) -> bool:
        """Whether that is known."""
        future = self._outcomes.get(service)
        return future is not None and future.done()

    def end(self, refusal: Refusal) -> None:
        """Nothing more becomes of it."""
        futures: list[asyncio.Future[Any]] = [self.published, *self._outcomes.values()]
        for future in futures:
            if not future.done():
                future.set_result(refusal)


class Ledger:
    """The last ``most`` events that Kafka has, and those that wait for it. The event loop's thread has it, but for `has`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sent: dict[Name, Sent] = {}
        self._in_kafka: dict[Name, None] = {}
        """Those of them that may be forgotten, the oldest first: a repeat of one that waits would be published beside it."""
        self._sizes: dict[Name, int] = {}
        self._kept_bytes = self._pending = self._pending_bytes = 0

    def __bool__(self) -> bool:
        """Whether anything was published; any thread may look."""
        return bool(self._sent)

    def has(self, name: Name) -> bool:
        """Whether an event was published here; any thread may look."""
        return name in self._sent

    def take(self, topic: str, event: Event) -> tuple[Sent, bool] | Refusal:
        """The event's entry, and whether it is a new one, which is to be published."""
        name = Name(topic, event.id)
        known = self._sent.get(name)
        if known is not None:
            if known.content == event.content:
                return known, False
            return other_values(event.id)
        if self._pending >= PENDING or self._pending_bytes + len(event.value) > PENDING_BYTES:
            what = f"Kafka is behind: {self._pending} events wait for it; try again later"
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, event.id, what)
        made = self._sent[name] = Sent(event)
        self._pending, self._pending_bytes = self._pending + 1, self._pending_bytes + made.size
        return made, True

    def published(self, name: Name, sent: Sent, result: Origin | Refusal) -> None:
        """Kafka has the event, or never will: then it may be sent again."""
        self._pending, self._pending_bytes = self._pending - 1, self._pending_bytes - sent.size
        if isinstance(result, Refusal):
            sent.end(result)
            self._forget(name)
        else:
            sent.published.set_result(result)
            self._in_kafka[name] = None
            self._forget_oldest()

    def arrived(self, outcomes: Iterable[tuple[Name, str, Outcome]]) -> None:
        """What services have made of events, by their names."""
        for name, service, outcome in outcomes:
            sent = self._sent.get(name)
            if sent is None or sent.outcome(service).done():
                continue
            sent.outcome(service).set_result(outcome)
            size = len(outcome) if isinstance(outcome, bytes) else 0
            self._sizes[name] = self._sizes.get(name, 0) + size
            self._kept_bytes += size
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        while self._in_kafka and (len(self._in_kafka) > self._most or self._kept_bytes > KEPT_BYTES):
            self._forget(next(iter(self._in_kafka)))

    def _forget(self, name: Name) -> None:
        """What waits for it goes on waiting: an event is forgotten long after."""
        del self._sent[name]
        self._in_kafka.pop(name, None)
        self._kept_bytes -= self._sizes.pop(name, 0)


def other_values(event_id: EventId) -> Refusal:
    """What an event has that comes under the id of another one."""
    what = f"an event id is of one event; '{event_id}' was published with other values; send it under an id of its own"
    return Refusal(HTTPStatus.CONFLICT, event_id, what)
