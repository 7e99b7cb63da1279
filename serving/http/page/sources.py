"""What the page reads from, as `infra` hands it in: `serving` knows neither the run folder nor the jobs that wrote its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from features.plan import Plan
from serving.http.page.monitored import Monitored
from serving.http.page.outcomes import Outcomes
from serving.models.registry import Registry


class ExplainedValue(msgspec.Struct, frozen=True):
    """A feature of an event: what was served, and what history gives."""

    feature: str
    of: str
    """The stage or view that it is of."""
    text: str
    """What it is, in words."""
    served: str | None
    """As the text that it is in JSON; None: it was not served."""
    recomputed: str
    cause: str | None
    """Why the two differ; None: they do not."""


class Explained(msgspec.Struct, frozen=True):
    """Why an event has the values that it has."""

    values: list[ExplainedValue]
    picture: str
    """SVG; empty where it cannot be drawn."""
    note: str
    """Why it cannot."""


class Sources(msgspec.Struct, frozen=True):
    """Where the data of the panels are."""

    services: tuple[str, ...]
    registry: Registry
    monitored: Monitored
    outcomes: Outcomes
    reader: dict[str, Any] | None = None
    """What a consumer of Kafka without a group is given; None: it is not known where Kafka is."""
    client: dict[str, Any] | None = None
    """What any other client of Kafka is given."""
    plans: Mapping[str, Plan] = {}
    """By service, the plan whose predictions are on Kafka."""
    metrics: Callable[[str], Mapping[str, str | None]] = lambda service: {}
    """The scorers, the stream job and the monitor of a service that run here, by name (``scorer-…``), and where each tells its
    metrics; None: it tells none."""
    cpu: Callable[[], Mapping[str, float]] = dict
    """The processes of the stack that run here, by name, and the seconds of CPU that each has used."""
    core_hour: float | None = None
    """What an hour of a core costs; None: nobody said."""
    currency: str = ""
    """What that is in."""
    audit_file: Callable[[str], Path] | None = None
    """Where `headrace audit` leaves the report of a service."""
    batch_days: Callable[[str], Mapping[str, str]] = lambda service: {}
    """By batch view of a service, the newest day that its file has."""
    explain: Callable[[str, str], Explained] | None = None
    """Explains an event of a service, by its id: of seconds, in a process of its own. Raises `HeadraceError`."""
