"""A replay of the past with batch views: before the first event of a day is sent, the online store has the rows of that day.

No scorer uses a row of its event's future, so the events of the day before have their predictions by then; and as a scorer keeps
rows for some seconds, it has let go of the old ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import date

from features.feast.online import clear_online
from features.service import Service
from features.times import day_of
from infra.run.watch import Watch
from jobs.history.batch_views import has_day, push_online
from jobs.ingest.publish import Event

LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 15.0
"""Without a prediction for so long, the day changes all the same: no scorer may run, or an event wait for another source."""
EARLIEST = date(1970, 1, 1)


class DayByDay:
    """Changes the rows in the online store with the days of a stream.

    The store is cleared first: a key that has a row of a later day would keep it. ``cache_seconds`` is how long the scorer keeps
    a row, ``vectors_from_ms`` the event time from which events are scored. ``watch`` counts the predictions.
    """

    def __init__(self, service: Service, watch: Watch, cache_seconds: float, vectors_from_ms: int | None = None) -> None:
        self.days: list[date] = []
        """The days that the stream came to."""
        self.without_rows: list[date] = []
        """Those of which no rows were computed: their events are given older ones, or none."""
        self.unpredicted = 0
        """Events without a prediction when the day after theirs began."""
        self._service = service
        self._watch = watch
        self._cache_seconds = cache_seconds
        self._vectors_from_ms = vectors_from_ms or 0
        self._sent = 0
        self._waited = 0.0
        self._patience = PATIENCE_SECONDS + service.plan.delay_ms / 1000

    def clock(self) -> float:
        """Seconds; it stands still while a day changes, so that a schedule of sending does."""
        return time.monotonic() - self._waited

    def follow(self, stream: Iterable[Event]) -> Iterator[Event]:
        """The events of ``stream``, which is in the order of its days, each when the online store has the rows of its day.

        One that arrives when another day has begun finds that day's rows, and uses none of them.
        """
        spine = self._service.plan.spine_source.topic
        for event in stream:
            if event.time >= self._vectors_from_ms:
                day = day_of(event.time)
                if not self.days or day > self.days[-1]:
                    began = time.monotonic()
                    self._begin(day)
                    self._waited += time.monotonic() - began
                self._sent += event.topic == spine
            yield event

    def _begin(self, day: date) -> None:
        first = not self.days
        if first:
            clear_online(self._service)
        else:
            self._await_predictions()
        push_online(self._service, day, since=EARLIEST if first else day)
        self.days.append(day)
        if not has_day(self._service, day):
            self.without_rows.append(day)
        time.sleep(self._cache_seconds)

    def _await_predictions(self) -> None:
        predicted, since = -1, time.monotonic()
        while (now := self._watch.seen().accounted) < self._sent:
            if now > predicted:
                predicted, since = now, time.monotonic()
            if time.monotonic() - since >= self._patience:
                self.unpredicted += self._sent - now
                self._patience = 0 if not now else self._patience  # nobody predicts
                return
            time.sleep(LOOK_SECONDS)
