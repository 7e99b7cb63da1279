"""What the page of ``headrace serve`` reads from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.service import Service
    from infra.settings import Settings
    from serving.http.page.sources import Sources
    from serving.models.registry import Registry


def sources_of(project: Path, settings: Settings, services: Sequence[Service], registry: Registry) -> Sources:
    """The project's, of these services."""
    from serving.http.page.sources import Sources

    return Sources(tuple(service.name for service in services), registry)
