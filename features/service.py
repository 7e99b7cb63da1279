"""A service of a project, resolved once and handed on to training, batch scoring, the scorer and the end-to-end run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from features.plan import Plan, Source
from features.times import EVENT_TIMES, EventTimes

Function = Callable[[dict[str, list[Any]]], Mapping[str, Sequence[Any]]]
"""An on-demand function: whole columns as lists in, and out."""


class Resources(msgspec.Struct, frozen=True):
    """What the engine of history may use."""

    memory_mb: int | None = None
    """The memory of its tables; None: half of the machine's."""
    spill: Path | None = None
    """The folder for what does not fit; None: that of the system for temporary files."""


class Service(msgspec.Struct, frozen=True):
    """A feature service: its plan, and what of the project's definitions the plan cannot hold."""

    folder: Path
    """The project's, to which the paths of histories and batch views are relative."""
    plan: Plan
    functions: Mapping[str, Function]
    """The on-demand functions, by view."""
    sources: Mapping[str, Source]
    """All sources of the project, by name: a label may be a column of one that the plan does not read."""
    objects: tuple[Any, ...]
    """The project's Feast objects."""
    event_times: EventTimes = EVENT_TIMES
    """Which event times its files may have: those that the stream takes."""
    resources: Resources = Resources()

    @property
    def name(self) -> str:
        """The feature service's name."""
        return self.plan.service
