"""What the page reads from, as `infra` hands it in: `serving` knows neither the run folder nor the jobs that wrote its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from serving.models.registry import Registry


class Sources(msgspec.Struct, frozen=True):
    """Where the data of the panels are."""

    services: tuple[str, ...]
    registry: Registry
    metrics: Callable[[str], Mapping[str, str | None]] = lambda service: {}
    """The scorers, the stream job and the monitor of a service that run here, by name (``scorer-…``), and where each tells its
    metrics; None: it tells none."""
    cpu: Callable[[], Mapping[str, float]] = dict
    """The processes of the stack that run here, by name, and the seconds of CPU that each has used."""
    core_hour: float | None = None
    """What an hour of a core costs; None: nobody said."""
    currency: str = ""
    """What that is in."""
