"""What a user writes where an engine has no such window: the rows of a customer in a list. Needs the standard library alone.

Exact by the window contract: the window is (t - length, t], ties are in order of arrival, late rows take their place, and
amounts are whole cents.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

DAY = 86_400_000
DAYS = (1, 7, 30)
LENGTHS = tuple(days * DAY for days in DAYS)
KEEP = LENGTHS[-1] + DAY
"""Rows are kept for a day beyond the longest window, as Headrace keeps them, so that a late row finds them."""


class Rescan:
    """The rows in order of time; each window is added up anew."""

    def __init__(self, times: list[int] | None = None, cents: list[int] | None = None) -> None:
        self.times = times or []
        self.cents = cents or []

    def features(self, time: int, cents: int) -> dict[str, Any]:
        """Put a row in its place; count and mean of each window that ends with it."""
        self._forget(time)
        end = bisect_right(self.times, time)
        self.times.insert(end, time)
        self.cents.insert(end, cents)
        vector: dict[str, Any] = {}
        for days, length in zip(DAYS, LENGTHS, strict=True):
            first = bisect_right(self.times, time - length)
            count = end + 1 - first
            vector[f"count_{days}d"] = count
            vector[f"mean_{days}d"] = sum(self.cents[first : end + 1]) / (100 * count)
        return vector

    def _forget(self, time: int) -> None:
        old = bisect_right(self.times, time - KEEP)
        if old and time > self.times[-1]:
            del self.times[:old], self.cents[:old]


class Running(Rescan):
    """The same with a sum kept for each window, which a row in order moves on; a late row is given a rescan.

    What it takes to be as fast on a hot key as on any other, with engines that keep a Python object in memory.
    """

    def __init__(self, times: list[int] | None = None, cents: list[int] | None = None) -> None:
        super().__init__(times, cents)
        self._restart()

    def features(self, time: int, cents: int) -> dict[str, Any]:
        """As `Rescan.features`."""
        if self.times and time < self.times[-1]:
            vector = super().features(time, cents)
            self._restart()
            return vector
        self.times.append(time)
        self.cents.append(cents)
        vector = {}
        for number, length in enumerate(LENGTHS):
            first = self.first[number]
            self.sums[number] += cents
            while self.times[first] <= time - length:
                self.sums[number] -= self.cents[first]
                first += 1
            self.first[number] = first
            count = len(self.times) - first
            vector[f"count_{DAYS[number]}d"] = count
            vector[f"mean_{DAYS[number]}d"] = self.sums[number] / (100 * count)
        self._forget_by_the_thousand(time)
        return vector

    def _forget_by_the_thousand(self, time: int) -> None:
        """Deleting from a list's front moves all the rest: seldom, then."""
        old = bisect_right(self.times, time - KEEP, 0, self.first[-1])
        if old > max(1000, len(self.times) // 4):
            del self.times[:old], self.cents[:old]
            self.first = [first - old for first in self.first]

    def _restart(self) -> None:
        newest = self.times[-1] if self.times else 0
        self.first = [bisect_right(self.times, newest - length) for length in LENGTHS]
        self.sums = [sum(self.cents[first:]) for first in self.first]
