"""What the page reads from, as `infra` hands it in: `serving` knows neither the run folder's files nor the jobs that wrote them."""

from __future__ import annotations

import msgspec

from serving.models.registry import Registry


class Sources(msgspec.Struct, frozen=True):
    """Where the data of the panels are."""

    services: tuple[str, ...]
    registry: Registry
