"""One device: takes events one by one, keeps their windows, and gives each event of the spine its prediction."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from . import events, on_demand
from .errors import EdgeError, RefusedError, UnscorableError
from .events import Event
from .model import Session, finite, number
from .on_demand import Function
from .outbox import Line, Outbox, Place
from .plan import Plan, Source
from .windows import NEVER, Bounds, Rows, Windows

FIRST, EVER = "first", "ever"
"""From when on the windows' rows are all there: from the first event on, or always, as nothing happened before it."""
NOWHERE = Place(-1, 0)
"""The place of an event that is in no outbox."""


class Device:
    """The windows and the model at work.

    ``whole_from`` is `FIRST`, `EVER` or a time in milliseconds; of ``ids`` events the newest are known by their ids, and are not
    taken twice.
    """

    def __init__(
        self,
        plan: Plan,
        session: Session,
        functions: Mapping[str, Function],
        bounds: Bounds,
        *,
        whole_from: str | int = FIRST,
        ids: int = 10_000,
        outbox: Outbox | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.plan = plan
        self.taken = 0
        """How many events, of all sources, ever."""
        self._session, self._functions, self._clock, self._outbox = session, functions, clock, outbox
        self._windows = [Windows(stage, plan.lateness_ms, bounds) for stage in plan.stages]
        self.whole_from: dict[str, int] = {}
        """By source, from when on its rows are all there."""
        self.hear(whole_from)
        self._ids: dict[tuple[str, int | str], Place] = {}
        self._most_ids = ids

    def take(self, source: str, text: str, fill: bool = False) -> dict[str, Any] | None:
        """What is said of an event: its prediction, why it has none, or None of an event that is only in windows.

        ``fill``: it is in the windows and no more.
        """
        now = int(self._clock() * 1000)
        try:
            event = events.read(self._source(source), text, now, self.plan.max_ahead_ms, self.plan.max_age_days)
        except RefusedError as error:
            return {"refused": error.reason, "detail": str(error), "source": source}
        known = self._ids.get((source, event.id))
        if known is not None:
            return None if fill else self._again(event, known)
        self.add(event)
        said: dict[str, Any] | None = None
        own: dict[str, Any] = {"n": self.taken}
        if source == self.plan.spine and not fill:
            try:
                said = own["prediction"] = self._predict(event, now)
            except UnscorableError as error:
                said = {"event_id": event.id, "event_time": event.time, "refused": "unscorable", "detail": str(error)}
                own["unscorable"] = str(error)
        self._remember(event, NOWHERE if fill or self._outbox is None else self._outbox.append(source, text, own))
        return said

    def hear(self, whole_from: str | int) -> None:
        """From when on no event is missing: it replaces what was said before, but for `FIRST`, which says nothing new."""
        if whole_from != FIRST:
            self.whole_from = dict.fromkeys(self.plan.sources, NEVER if whole_from == EVER else int(whole_from))

    def retake(self, line: Line) -> None:
        """Take an event of the outbox that the saved state does not know of; its prediction was made before.

        One that had been forgotten when it came again was taken twice, also where its id is known by now.

        Raises `EdgeError` where it is no event of this bundle's.
        """
        try:
            event = events.read_again(self._source(line.source), line.event)
        except RefusedError as error:
            what = f"event {line.own['n']} of {line.source}"
            raise EdgeError(f"an outbox has events of this bundle's sources; {what}: {error}; name another --state DIR") from None
        self.add(event)
        self.taken = max(self.taken, line.own["n"])  # a file before it may have been removed
        self._remember(event, line.place)

    def features(self, event: Event) -> tuple[dict[str, Any], bool]:
        """The window features of an event, exact, and whether they are complete. Raises `UnscorableError`."""
        found: dict[str, Any] = {}
        complete = True
        for windows in self._windows:
            key = tuple(event.columns[name] for name in windows.stage.key)
            features, whole = windows.query(key, event.time, self.whole_from.get(windows.stage.source))
            found.update(features)
            complete = complete and whole
        return found, complete

    def inputs(self, event: Event, features: Mapping[str, Any]) -> dict[str, Any]:
        """The model's inputs by column, of an event and its window features. Raises `UnscorableError`."""
        found = {name: number(value) for name, value in features.items()}
        for view in self.plan.on_demand:
            found.update(on_demand.call(view, self._functions[view.view], event.columns, found))
        for column, (feature, place) in self.plan.lists.items():
            values = found[feature]
            found[column] = values[place] if len(values) >= -place else None
        return {name: found[name] for name in self.plan.model.columns}

    def save(self) -> dict[str, Any]:
        """The state as JSON holds it."""
        return {
            "taken": self.taken,
            "whole_from": self.whole_from,
            "stages": [
                {
                    "lost": windows.lost,
                    "keys": [[key, rows.lost, rows.times, rows.columns] for key, rows in windows.keys.items()],
                }
                for windows in self._windows
            ],
            "ids": [[source, one, *place] for (source, one), place in self._ids.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Be as the device was that gave ``state``, but for a ``whole_from`` other than `FIRST`, and within its own bounds."""
        self.taken = state["taken"]
        self.whole_from = self.whole_from or state["whole_from"]
        for windows, saved in zip(self._windows, state["stages"], strict=True):
            windows.lost = saved["lost"]
            for key, lost, times, columns in saved["keys"]:
                rows = windows.keys[tuple(key)] = Rows(windows.stage.columns, lost)
                rows.times, rows.columns = times, columns
            windows.bound()
        self._ids = {(source, one): Place(*place) for source, one, *place in state["ids"][-self._most_ids :]}

    def _source(self, name: str) -> Source:
        """The source of this name. Raises `RefusedError` where the bundle has none."""
        if name not in self.plan.sources:
            known = ", ".join(self.plan.sources)
            raise RefusedError("not_json", f"an event is of a source of this bundle, {known}; got '{name[:40]}'")
        return self.plan.sources[name]

    def add(self, event: Event) -> None:
        """Take an event into the windows over its source."""
        self.taken += 1
        self.whole_from.setdefault(event.source, event.time)
        for windows in self._windows:
            if windows.stage.source == event.source:
                windows.add(tuple(event.columns[name] for name in windows.stage.key), event.time, event.columns)

    def _remember(self, event: Event, place: Place) -> None:
        self._ids.pop((event.source, event.id), None)  # the newest stand last
        self._ids[event.source, event.id] = place
        if len(self._ids) > self._most_ids:
            del self._ids[next(iter(self._ids))]

    def _again(self, event: Event, place: Place) -> dict[str, Any] | None:
        """What was said of an event that comes once more."""
        if event.source != self.plan.spine:
            return None
        line = self._outbox.at(event.source, place) if self._outbox is not None and place != NOWHERE else None
        if line is None:
            return {"event_id": event.id, "event_time": event.time, "repeated": True}
        prediction: dict[str, Any] | None = line.own.get("prediction")
        if prediction is not None:
            return prediction
        detail = line.own.get("unscorable")
        return {"event_id": event.id, "event_time": event.time, "refused": "unscorable", "detail": detail}

    def _predict(self, event: Event, arrived_at: int) -> dict[str, Any]:
        """A prediction as it is on ``predictions.<service>``, with a receipt; it has no place in Kafka."""
        features, complete = self.features(event)
        inputs = self.inputs(event, features)
        featured_at = int(self._clock() * 1000)
        score, outputs = self._session.score(inputs)
        model = self.plan.model
        prediction: dict[str, Any] = {
            "event_id": event.id,
            "event_time": event.time,
            "score": score,
            "receipt": {
                "origin": None,
                "plan": self.plan.digest[:12],
                "model": model.name,
                "version": model.version,
                "sha256": model.sha256,
                "inputs": {name: finite(value) for name, value in inputs.items()},
                "batch_as_of": {},
                "complete": complete,
                "arrived_at": arrived_at,
                "featured_at": featured_at,
                "scored_at": int(self._clock() * 1000),
            },
        }
        if outputs:
            prediction["outputs"] = outputs
        return prediction
