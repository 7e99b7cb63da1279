"""Models that score the live stream for nobody to act on: on a thread and a producer of their own, behind production's.

A poll comes here once production's predictions of it were handed over. The thread may be slow, fail or stand still: what it
cannot take is skipped and counted, and what it fails at is an error of that model alone. Its predictions are written at most
once: those of polls that were in hand when the scorer died are missing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import structlog
from kafka.errors import KafkaError

from schemas.topics import predictions
from serving.kafka.batches import Batches, Record, prediction_of
from serving.kafka.delivery import MAX_IN_FLIGHT
from serving.predict.lineup import Lane, Lineup
from serving.predict.vector import Events, together

MAX_POLLS = 100
MAX_RECORDS = 8_000
"""What may wait here: polls, and the events in them. What waits is scored together: models that are slow, or many, get larger
batches, which cost less for each event."""
CLEAR_SECONDS = 0.5
CLOSE_SECONDS = 5.0

log = structlog.get_logger()


class Poll(NamedTuple):
    """What production had: the shadows find in ``events`` what it looked up and computed."""

    lineup: Lineup
    events: Events
    records: Sequence[Any]


class Shadows:
    """The thread of one service's shadows. ``open_producer`` makes their producer once there is a shadow."""

    def __init__(self, service: str, open_producer: Callable[[], Any]) -> None:
        self._service = service
        self._open_producer = open_producer
        self._producer: Any = None
        self._topics: dict[str, Batches] = {}
        self._waiting: deque[Poll] = deque()
        self._records = 0
        self._sent: deque[list[tuple[Lane, Any]]] = deque()
        self._said: set[tuple[object, ...]] = set()
        self._ready = threading.Condition()
        self._clear = threading.Event()
        self._clear.set()
        self._until: float | None = None
        self._thread: threading.Thread | None = None

    def feed(self, lineup: Lineup, events: Events, records: Sequence[Any]) -> int:
        """Hand over a poll, which nobody else has from now on; never waits. Gives how many predictions were skipped."""
        if not lineup.shadows or not len(events):
            return 0
        with self._ready:
            if len(self._waiting) < MAX_POLLS and self._records + len(events) <= MAX_RECORDS:
                self._waiting.append(Poll(lineup, events, records))
                self._records += len(events)
                self._ready.notify()
                self._begin()
                return 0
        for lane in lineup.shadows:
            lane.tally.skipped += len(events)
        return len(events) * len(lineup.shadows)

    def give_way(self, is_behind: bool) -> None:
        """Wait while production is behind: Python runs one thread at a time."""
        if is_behind == self._clear.is_set():
            (self._clear.clear if is_behind else self._clear.set)()

    def close(self) -> None:
        """Score what waits, as far as that takes no longer than a moment."""
        with self._ready:
            self._until = time.monotonic() + CLOSE_SECONDS
            self._clear.set()
            self._ready.notify()
        if self._thread is not None:
            self._thread.join(2 * CLOSE_SECONDS)

    @property
    def _is_over(self) -> bool:
        return self._until is not None and time.monotonic() > self._until

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"shadows-{self._service}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            while (poll := self._next()) is not None:
                try:
                    self._score(poll)
                except Exception as error:  # none of it is production's affair
                    log.error("a poll is lost to all shadows", service=self._service, error=repr(error))
        finally:
            if self._producer is not None:
                with suppress(KafkaError):
                    self._producer.close(timeout=CLOSE_SECONDS)

    def _next(self) -> Poll | None:
        with self._ready:
            self._ready.wait_for(lambda: self._waiting or self._until is not None)
            if not self._waiting or self._is_over:
                return None
            polls = [self._waiting.popleft()]
            while self._waiting and self._waiting[0].lineup is polls[0].lineup:
                polls.append(self._waiting.popleft())
            self._records -= sum(len(poll.events) for poll in polls)
        records = [record for poll in polls for record in poll.records]
        return Poll(polls[0].lineup, together([poll.events for poll in polls]), records)

    def _score(self, poll: Poll) -> None:
        sent: list[tuple[Lane, Any]] = []
        events, records = poll.lineup.for_shadows(poll.events, poll.records)
        left_out = len(poll.records) - len(records)
        for lane in poll.lineup.shadows:
            lane.tally.errors += left_out
            while not self._clear.wait(CLEAR_SECONDS) and not self._is_over:
                pass
            if self._is_over:
                return
            try:
                self._score_by(lane, Poll(poll.lineup, events, records), sent)
            except Exception as error:  # whatever it is, it is this shadow's affair alone
                lane.tally.errors += len(poll.events)
                self._say_once(lane, error)
        self._sent.append(sent)
        while len(self._sent) > MAX_IN_FLIGHT:
            self._settle(self._sent.popleft())

    def _score_by(self, lane: Lane, poll: Poll, sent: list[tuple[Lane, Any]]) -> None:
        batches, scored = self._batches(lane.alias), list[Record]()
        for record, result in zip(poll.records, poll.lineup.shadow(lane, poll.events), strict=True):
            if isinstance(result, bytes):
                scored.append(prediction_of(record, result))
            else:
                self._say_once(lane, result)
        sent += [(lane, future) for future in batches.send(scored)]

    def _batches(self, alias: str) -> Batches:
        if self._producer is None:
            self._producer = self._open_producer()
        if alias not in self._topics:
            topic = predictions(self._service, alias).name
            self._producer.partitions_for(topic)  # waits until it knows them
            self._topics[alias] = Batches(self._producer, topic)
        return self._topics[alias]

    def _settle(self, sent: Sequence[tuple[Lane, Any]]) -> None:
        """Wait until Kafka has them; one that it refuses is an error."""
        for lane, future in sent:
            if future.succeeded():
                continue
            try:
                future.get()
            except KafkaError as error:
                lane.tally.events -= 1
                lane.tally.errors += 1
                self._say_once(lane, error)

    def _say_once(self, lane: Lane, error: Exception) -> None:
        """The first error of each kind of each version."""
        kind = (lane.alias, lane.placed, type(error), str(error)[:40])
        if kind not in self._said and len(self._said) < 1000:
            self._said.add(kind)
            what = {"alias": lane.alias, "model": lane.placed.model, "version": lane.placed.version}
            log.warning("a shadow fails", service=self._service, **what, error=str(error).split("\n", 1)[0])
