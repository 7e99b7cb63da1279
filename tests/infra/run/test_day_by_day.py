"""A replay of the past with batch views: each event finds the rows of its own day online, not those of its future."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from features.definitions.load import load
from features.feast.online import open_online_store
from features.service import Service
from infra.run.day_by_day import DayByDay
from jobs.history.batch_views import materialize, push_online
from jobs.ingest.publish import Event

pytestmark = pytest.mark.slow

HOUR = 3_600_000


class Predicted:
    """Stands for a watch of the predictions: an event has its prediction at the third look after it was sent."""

    def __init__(self) -> None:
        self.sent = self.looks = 0

    def seen(self) -> Any:
        """As `infra.run.watch.Watch.seen`."""
        self.looks += 1
        return SimpleNamespace(accounted=self.sent - (self.looks % 3 > 0))


def ms(day: int) -> int:
    """The midnight of a day of May 2018."""
    return int(datetime(2018, 5, day, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def service(small_copy: Path) -> Service:
    """The example with rows of 3 to 5 May, and online those of 5 May."""
    made = load(small_copy).service("fraud")
    materialize(made, date(2018, 5, 3), date(2018, 5, 5))
    push_online(made, date(2018, 5, 5))
    return made


def test_each_day_begins_with_its_rows(service: Service) -> None:
    """The rows online at each event are those of its day, or of the last one before it; a day without rows is told."""
    read, watch = open_online_store(service.folder, service.objects, service.plan.batch), Predicted()
    days = DayByDay(service, watch, cache_seconds=0)  # type: ignore[arg-type]
    as_of: list[tuple[int, int | None]] = []

    def stream() -> Iterator[Event]:
        for day in (2, 3, 4, 5, 6):
            for number in range(3):
                yield Event(ms(day) + number * HOUR, service.plan.spine_source.topic, None, b"")

    for event in days.follow(stream()):
        watch.sent += 1
        (row,) = read(service.plan.batch[0], [(1,)])
        as_of.append((event.time, row and row.as_of))
    assert [found for _, found in as_of] == [None] * 3 + [ms(3)] * 3 + [ms(4)] * 3 + [ms(5)] * 6
    assert days.without_rows == [date(2018, 5, 2), date(2018, 5, 6)]
    assert days.unpredicted == 0
    assert watch.looks == 4 * 3


def test_a_replay_that_begins_later_has_what_was_known_then(service: Service) -> None:
    """The first day has each key's newest row so far, of whichever day; events that are not scored change no day."""
    days = DayByDay(service, Predicted(), cache_seconds=0, vectors_from_ms=ms(8))  # type: ignore[arg-type]
    topic = service.plan.spine_source.topic
    assert len(list(days.follow([Event(ms(day), topic, None, b"") for day in (4, 7, 8)]))) == 3
    assert days.days == days.without_rows == [date(2018, 5, 8)]
    (row,) = open_online_store(service.folder, service.objects, service.plan.batch)(service.plan.batch[0], [(1,)])
    assert row is not None
    assert row.as_of == ms(5)


def test_the_clock_of_the_schedule_stands_still_while_a_day_changes(service: Service) -> None:
    """A rate is kept: nothing is caught up after the wait."""
    days = DayByDay(service, Predicted(), cache_seconds=0.3)  # type: ignore[arg-type]
    topic = service.plan.spine_source.topic
    began, at = days.clock(), []
    for _ in days.follow(Event(ms(day), topic, None, b"") for day in (3, 4)):
        at.append(days.clock() - began)
    assert at[-1] < 0.25


class Late:
    """Stands for a watch of predictions that all come ``seconds`` after they are first looked for."""

    def __init__(self, seconds: float) -> None:
        self.sent, self._seconds, self._first = 0, seconds, 0.0

    def seen(self) -> Any:
        """As `infra.run.watch.Watch.seen`."""
        self._first = self._first or time.monotonic()
        return SimpleNamespace(accounted=self.sent if time.monotonic() - self._first > self._seconds else 0)


@pytest.mark.parametrize(("mode", "unpredicted"), [("event_time", 0), ("arrival", 1)])
def test_a_day_ends_once_its_last_events_have_waited(
    service: Service, monkeypatch: pytest.MonkeyPatch, mode: Any, unpredicted: int
) -> None:
    """In event-time mode the newest events wait for those that may be late; the next day begins with their predictions."""
    monkeypatch.setattr("infra.run.day_by_day.PATIENCE_SECONDS", 0.2)
    delayed = tuple(msgspec.structs.replace(source, delay_ms=5000) for source in service.plan.sources)
    plan = msgspec.structs.replace(service.plan, sources=delayed, mode=mode)
    watch = Late(0.5)
    days = DayByDay(msgspec.structs.replace(service, plan=plan), watch, cache_seconds=0)  # type: ignore[arg-type]
    for _ in days.follow(Event(ms(day), plan.spine_source.topic, None, b"") for day in (3, 4)):
        watch.sent += 1
    assert days.unpredicted == unpredicted
