"""What the page reads from, as `infra` hands it in: `serving` knows neither the run folder's files nor the jobs that wrote them."""

from __future__ import annotations

from typing import Any

import msgspec

from serving.http.page.monitored import Monitored
from serving.http.page.outcomes import Outcomes
from serving.models.registry import Registry


class Sources(msgspec.Struct, frozen=True):
    """Where the data of the panels are."""

    services: tuple[str, ...]
    registry: Registry
    monitored: Monitored
    outcomes: Outcomes
    reader: dict[str, Any] | None = None
    """What a consumer of Kafka without a group is given; None: it is not known where Kafka is."""
