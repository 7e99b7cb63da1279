"""The stream job's ledger of late rows, by the windows that they are missing from."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from features.plan import Plan, Source, WindowFeature
from schemas import LateRow, Origin

Key = tuple[Any, ...]


class Place(NamedTuple):
    """The windows of one view and key."""

    source: str
    view: str
    key: Key


class Missed(msgspec.Struct):
    """What the late rows of one place account for."""

    times: list[int] = msgspec.field(default_factory=list)
    """Event times of the rows, in their order, UTC milliseconds."""
    values: float = 0
    """Values of vectors that the rows would have changed; infinite where the ledger has not counted all."""

    def in_window(self, feature: WindowFeature, at: int) -> bool:
        """Whether the feature's window at a time holds one of the rows (rule 1)."""
        return bisect_right(self.times, at - feature.window_ms) < bisect_right(self.times, at)


Ledger = Mapping[Place, Missed]


class Entry(NamedTuple):
    """One late row, as one view missed it."""

    place: Place
    origin: Origin
    event_time: int
    values: float
    """As in `Missed`."""


def keys_of(plan: Plan) -> dict[tuple[str, str], Key]:
    """The columns of the key, by source and view."""
    return {(stage.source, feature.view): stage.key for stage in plan.windows for feature in stage.features}


def entries_of(plan: Plan, entries: Iterable[LateRow], events: Mapping[Origin, Mapping[str, Any]]) -> Iterator[Entry]:
    """Each entry once, with its place. ``events``: the rows that they are of; an entry whose row is not there is left out."""
    keys = keys_of(plan)
    for entry in {(entry.origin, entry.view): entry for entry in entries}.values():
        event, key = events.get(entry.origin), keys.get((entry.source, entry.view))
        if event is not None and key is not None:  # else it is of another time, or of another service
            place = Place(entry.source, entry.view, key_in(plan.source(entry.source), key, event))
            yield Entry(place, entry.origin, entry.event_time, entry.changed if entry.counted else math.inf)


def key_in(source: Source, columns: Iterable[str], event: Mapping[str, Any]) -> Key:
    """The key of an event as it was published: a whole number may be written 3.0."""
    kinds = {column.name: column.type.kind for column in source.columns}
    values = ((event.get(name), kinds.get(name)) for name in columns)
    return tuple(int(value) if kind == "int64" and isinstance(value, float) else value for value, kind in values)


def ledger_of(plan: Plan, entries: Iterable[LateRow], events: Mapping[Origin, Mapping[str, Any]]) -> Ledger:
    """The ledger in the form that a comparison wants. ``entries``: as read, repeats included; ``events``: as in `entries_of`."""
    return added((entry.place, entry.event_time, entry.values) for entry in entries_of(plan, entries, events))


def added(rows: Iterable[tuple[Place, int, float]]) -> Ledger:
    """A ledger of late rows: the place, the event time, and what `Missed` says of values, of each."""
    ledger: dict[Place, Missed] = {}
    for place, event_time, values in rows:
        missed = ledger.setdefault(place, Missed())
        insort(missed.times, event_time)
        missed.values += values
    return ledger
