"""The models that serve one service from one moment on, until the next lineup.

::

    predictions.S            production ── canary      a share of the keys; both in the scorer's loop
    predictions.S.<alias>    shadow, shadow, …         every other environment; on a thread of their own
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np

from features.errors import DefinitionError
from features.feast.cache import KeptRows, nothing_kept
from features.feast.keys import Key, UnheldKeyError
from features.feast.online import ReadRows
from features.plan import BatchView, Plan
from features.service import Function
from schemas.deployment import Placed
from serving.predict.message import UnscorableError
from serving.predict.predictor import Predictor, Result
from serving.predict.share import takes
from serving.predict.vector import Events, Vectors

LOOKS = 4
"""Between so many looks at a tally its rate is taken."""
BATCHES = 1000
"""So many of the last batches say how long one takes."""

SHADOW_TRIES = 32
"""So often a shadow scores a poll at most, in parts, so that it finds a few events that it cannot score."""


def no_rows(view: BatchView, keys: Sequence[Key]) -> Sequence[None]:
    """Reads nothing, for models without batch views."""
    return [None] * len(keys)


class Tally:
    """What one model did since it serves. One thread writes, another may read."""

    def __init__(self) -> None:
        self.events = self.errors = self.skipped = 0
        self._seconds: deque[float] = deque(maxlen=BATCHES)
        self._looks: deque[tuple[float, int]] = deque(maxlen=LOOKS)

    def add(self, results: Sequence[Result], seconds: float) -> None:
        """A batch, and how long it took."""
        good = sum(type(result) is bytes for result in results)
        self.events += good
        self.errors += len(results) - good
        self._seconds.append(seconds)

    def rate(self, now: float) -> float | None:
        """Events a second since the last few calls, of which the reader makes one every few seconds; None at the first."""
        self._looks.append((now, self.events))
        (since, before), (_, events) = self._looks[0], self._looks[-1]
        return round((events - before) / (now - since), 1) if now > since else None

    @property
    def p99_ms(self) -> float | None:
        """Of the last batches; None before the first."""
        seconds = list(self._seconds)
        return round(float(np.percentile(seconds, 99)) * 1000, 3) if seconds else None


class Lane(msgspec.Struct, frozen=True, eq=False):
    """One version at work in one environment."""

    alias: str
    predictor: Predictor
    share: float | None = None
    """Of the keys, where it is a canary."""
    tally: Tally = msgspec.field(default_factory=Tally)

    @property
    def placed(self) -> Placed:
        """The version."""
        return self.predictor.manifest.placed


class Lineup:
    """Never changed: another one takes its place."""

    def __init__(
        self,
        plan: Plan,
        functions: Mapping[str, Function],
        production: Lane,
        canary: Lane | None = None,
        shadows: Sequence[Lane] = (),
        *,
        rows: ReadRows = no_rows,
        shadow_rows: ReadRows = no_rows,
        kept: KeptRows = nothing_kept,
    ) -> None:
        """``rows`` reads batch views for production and canary, ``shadow_rows`` for shadows: each is of one thread.

        ``kept`` gives what is cached of the former.
        """
        self.production = production
        self.canary = canary
        self.shadows = tuple(shadows)
        self.vectors = Vectors(plan, [lane.predictor.needed for lane in self.lanes if lane not in self.shadows], functions)
        self._extra = Vectors(plan, [lane.predictor.needed for lane in self.shadows], functions, self.vectors)
        self._rows = rows
        self._kept = kept
        self._shadow_rows = shadow_rows

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All of them, production first."""
        return (self.production, *((self.canary,) if self.canary else ()), *self.shadows)

    def predict(self, events: Events, keys: Sequence[bytes]) -> list[Result]:
        """The prediction of each event by the version that its key belongs to, in order, for ``predictions.S``."""
        canary = self.canary
        chosen = [place for place, key in enumerate(keys) if takes(key, canary.share or 0.0)] if canary else []
        if canary is None or not chosen:
            return _score(self.production, events, self._rows)
        if len(chosen) == len(keys):
            return _score(canary, events, self._rows)
        _prepare(events, (self.production, canary), self._rows)
        taken = set(chosen)
        others = [place for place in range(len(keys)) if place not in taken]
        results: list[Any] = [None] * len(keys)
        for lane, places in ((self.production, others), (canary, chosen)):
            for place, result in zip(places, _score(lane, events.some(places), self._rows), strict=True):
                results[place] = result
        return results

    def leave_out(self, events: Events) -> None:
        """Go on without the online store: with the rows that are cached, and null for the others."""
        for lane in (self.production, *((self.canary,) if self.canary else ())):
            events.leave_out(lane.predictor.needed, self._kept)

    def for_shadows(self, events: Events, records: Sequence[Any]) -> tuple[Events, Sequence[Any]]:
        """The events, and their records, with what only shadows take of them. It is decoded here, so that production neither
        waits for it nor has a dead letter for what is wrong with it; those with such a fault are left out.
        """
        if not self._extra.has_fields:
            return events, records
        messages, places = [], []
        for place, record in enumerate(records):
            with suppress(UnscorableError):
                messages.append(self._extra.decode(record.value))
                places.append(place)
        if len(places) < len(records):
            events, records = events.some(places), [records[place] for place in places]
        self._extra.extend(events, messages)
        return events, records

    def shadow(self, lane: Lane, events: Events) -> list[Result]:
        """What one of the shadows gives, after production had these events. A model that always fails is not tried for each."""
        return _score(lane, events, self._shadow_rows, SHADOW_TRIES)


def _prepare(events: Events, lanes: Sequence[Lane], rows: ReadRows) -> None:
    """Look up and call once what both take, before they are parted; what fails here is tried again, and told, by each alone."""
    for lane in lanes:
        try:
            events.look_up(lane.predictor.needed, rows)
            events.vectors(lane.predictor.needed)
        except (DefinitionError, UnheldKeyError):
            continue


def _score(lane: Lane, events: Events, rows: ReadRows, tries: float = math.inf) -> list[Result]:
    began = time.perf_counter()
    results = lane.predictor.predict(events, rows, tries)
    lane.tally.add(results, time.perf_counter() - began)
    return results
