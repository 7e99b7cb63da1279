"""What a scorer says that its environments serve now, and since which offsets."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.deployment import Placed


class Serving(msgspec.Struct, frozen=True):
    """What one environment of a scorer serves. Times are UTC milliseconds."""

    alias: str
    """``production``, ``canary``, or a shadow's name."""
    model: str
    version: int
    share: float | None
    """Of a canary; None: all."""
    state: Literal["serving", "failed"]
    """``failed``: this version could not be put in service; what served before still does."""
    error: str | None
    since: int
    seq: int
    """The entry of the service's log that it follows."""
    offsets: dict[int, int] = {}
    """By partition of the feature vectors: the first offset that it holds for."""
    events: int = 0
    """Predictions since then."""
    errors: int = 0
    """Events that the model gave no score for."""
    skipped: int = 0
    """Events that it did not get: a shadow that is too slow is passed over."""
    p99_ms: float | None = None
    """Of the time that the model takes for a poll; None: nothing was scored yet."""
    events_per_second: float | None = None
    """Predictions a second, of late; None: it is too early to say."""

    @property
    def placed(self) -> Placed:
        """The version."""
        return Placed(self.model, self.version)


class Taken(msgspec.Struct, frozen=True):
    """How one scorer took a change, when it first said so."""

    instance: str
    serving: Serving


class Report(msgspec.Struct, frozen=True):
    """What a scorer serves at a time."""

    instance: str
    at: int
    serving: list[Serving]
