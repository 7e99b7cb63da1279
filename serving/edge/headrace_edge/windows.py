"""The windows of one stage: the rows of each key, in order of time and arrival, in bounded memory (rules 1 to 3 and 6)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, NamedTuple

from .functions import result
from .plan import Stage

BLOCK = 64
"""Rows that are too old are removed so many at a time."""
NEVER = -(2**63)
"""Nothing was lost since."""

Key = tuple[Any, ...]


class Bounds(NamedTuple):
    """How much memory windows may take."""

    rows: int
    """Of a key in a stage; beyond it the oldest row leaves."""
    keys: int
    """Of a stage; beyond it the key leaves that has had no event for longest."""


class Rows:
    """The rows of one key, by time and, within a millisecond, by arrival: a list of times, and one for each column."""

    __slots__ = ("columns", "lost", "times")

    def __init__(self, columns: tuple[str, ...], lost: int) -> None:
        self.times: list[int] = []
        self.columns: dict[str, list[Any]] = {name: [] for name in columns}
        self.lost = lost
        """The time of the newest row that was removed, or may have been."""

    def add(self, time: int, values: Mapping[str, Any]) -> None:
        """Insert a row behind those of its time."""
        place = bisect_right(self.times, time)
        self.times.insert(place, time)
        for name, column in self.columns.items():
            column.insert(place, values[name])

    def keep(self, most: int) -> None:
        """Remove the oldest rows, where there are more than ``most``."""
        if len(self.times) > most:
            self.remove(len(self.times) - most)

    def remove(self, count: int) -> None:
        """Remove the oldest rows."""
        self.lost = max(self.lost, self.times[count - 1])
        del self.times[:count]
        for column in self.columns.values():
            del column[:count]


class Windows:
    """A stage at work."""

    def __init__(self, stage: Stage, lateness_ms: int, bounds: Bounds) -> None:
        self.stage = stage
        self.keys: dict[Key, Rows] = {}
        """By the order of their last events, the newest last."""
        self.lost = NEVER
        """The time of the newest row of all keys that were removed."""
        self._kept_ms = stage.longest_ms + lateness_ms
        self._bounds = bounds

    def add(self, key: Key, time: int, values: Mapping[str, Any]) -> None:
        """Take a row, and remove what is too old or too much."""
        rows = self.keys.pop(key, None) or Rows(self.stage.columns, self.lost)
        self.keys[key] = rows
        rows.add(time, values)
        oldest = rows.times[-1] - self._kept_ms
        while len(rows.times) > BLOCK and rows.times[BLOCK - 1] <= oldest:
            rows.remove(BLOCK)
        rows.keep(self._bounds.rows)
        self._drop_keys()

    def bound(self) -> None:
        """Keep the bounds of rows and keys that were saved by a runner with others."""
        for rows in self.keys.values():
            rows.keep(self._bounds.rows)
        self._drop_keys()

    def _drop_keys(self) -> None:
        while len(self.keys) > self._bounds.keys:
            silent = self.keys.pop(next(iter(self.keys)))
            self.lost = max(self.lost, silent.lost, silent.times[-1])

    def query(self, key: Key, time: int, whole_from: int | None) -> tuple[dict[str, Any], bool]:
        """The features of a query, and whether no row is missing in any of its windows.

        ``whole_from`` is when the rows of the source begin; None: there was none yet. Raises `UnscorableError`.
        """
        rows = self.keys.get(key)
        lost = self.lost if rows is None else rows.lost
        start = time - self.stage.longest_ms
        complete = start >= lost and whole_from is not None and start >= whole_from
        found: dict[tuple[str, int], list[Any]] = {}
        features = {}
        until = bisect_right(rows.times, time) if rows else 0
        for feature in self.stage.features:
            place = feature.column.name, feature.window_ms
            if place not in found:
                found[place] = [] if rows is None else _known(rows, *place, time, until)
            features[feature.name] = result(feature, found[place])
        return features, complete


def _known(rows: Rows, column: str, window_ms: int, time: int, until: int) -> list[Any]:
    """The values in (time - window_ms, time] that are not null."""
    since = bisect_right(rows.times, time - window_ms, 0, until)
    return [value for value in rows.columns[column][since:until] if value is not None]
