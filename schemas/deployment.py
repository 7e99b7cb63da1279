"""The message on ``deployments``: a change of what a service's environments serve, as one scorer took it."""

from __future__ import annotations

from typing import Literal

import msgspec

Action = Literal[
    "promote",  # production is this version now
    "rollback",  # production is the version before again
    "canary",  # this share of production's keys is for this version; a share of 0 ends it
    "alias",  # a shadow of production is this version now; no version ends it
    "remove",  # this version is gone, and its number is not used again
    "decline",  # a newer model was worse than this, the version in production, and was not taken: nothing is changed
    "postpone",  # a retrain by itself was not begun: nothing is changed
    "fail",  # a retrain by itself ended without a decision: nothing is changed
]


class Placed(msgspec.Struct, frozen=True):
    """A version of a model, as an environment has it."""

    model: str
    version: int

    def __str__(self) -> str:
        return f"{self.model} v{self.version}"


class LogEntry(msgspec.Struct, frozen=True):
    """A change of what a service's environments serve, as its deployment log has it. Times are UTC milliseconds."""

    seq: int
    """Which entry of the service's log it is, from 1."""
    service: str
    action: Action
    alias: str | None
    """The environment: ``production``, or the shadow's name; none: the change is of a version, not of an environment."""
    model: str
    version: int | None
    """The version from now on; none: the shadow has ended."""
    share: float | None
    """Of a canary: its share of production's keys; 0: it has ended."""
    before: Placed | None
    """What the environment, or the canary, had before."""
    who: str
    why: str
    at: int
    """When the entry was written."""
    forced: bool
    """Whether it was made against the gate."""

    @property
    def placed(self) -> Placed | None:
        """The version from now on."""
        return None if self.version is None else Placed(self.model, self.version)


class Deployment(LogEntry, frozen=True):
    """An entry of a service's deployment log, and what one scorer did about it. Times are UTC milliseconds."""

    instance: str
    """The scorer's."""
    state: Literal["serving", "failed"]
    """``failed``: the version could not be put in service there, and what served before still does."""
    error: str | None
    offsets: dict[int, int]
    """By partition of the feature vectors: the first offset that the change holds for."""
    taken_at: int
    """When the scorer took it, or gave up."""
