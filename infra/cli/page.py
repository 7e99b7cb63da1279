"""What the page of ``headrace serve`` reads from."""

from __future__ import annotations

from functools import partial
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
    from infra.local import stack
    from infra.local.processes import Processes
    from infra.settings import run_folder
    from serving.http.page.sources import Sources

    run = run_folder(project, settings)
    return Sources(
        tuple(service.name for service in services),
        registry,
        metrics=partial(stack.metrics, project, settings),
        cpu=Processes(run).cpu_seconds,
        core_hour=settings.http.core_hour,
        currency=settings.http.currency,
    )
