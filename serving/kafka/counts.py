"""What the scorer did since its last line of counts."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


class Counts:
    """Counts of the last ``seconds``, and how long the polls' batches took.

    ``take`` gives them once in that time, and begins anew.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._begin()

    def add(self, *, scored: int, repeats: int, dead_letters: int, skipped: int, seconds: float) -> None:
        """One poll's batch; ``skipped`` are the predictions that shadows did not make of it."""
        self._scored += scored
        self._repeats += repeats
        self._dead_letters += dead_letters
        self._skipped += skipped
        self._batches.append(seconds)

    def take(self) -> dict[str, float] | None:
        """The counts, where it is time for them."""
        if self._clock() < self._until:
            return None
        counts: dict[str, float] = {"scored": self._scored, "repeats": self._repeats, "dead_letters": self._dead_letters}
        if self._skipped:
            counts["skipped"] = self._skipped
        if self._batches:
            p50, p99 = np.percentile(self._batches, (50, 99)) * 1000
            counts |= {"batches": len(self._batches), "batch_p50_ms": round(float(p50), 3), "batch_p99_ms": round(float(p99), 3)}
        self._begin()
        return counts

    def _begin(self) -> None:
        self._scored = self._repeats = self._dead_letters = self._skipped = 0
        self._batches: list[float] = []
        self._until = self._clock() + self._seconds
