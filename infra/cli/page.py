"""What the page of ``headrace serve`` reads from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.service import Service
    from infra.settings import Settings
    from serving.http.config import KafkaConfig
    from serving.http.page.sources import Sources
    from serving.models.registry import Registry


def sources_of(
    project: Path, settings: Settings, services: Sequence[Service], registry: Registry, kafka: KafkaConfig | None
) -> Sources:
    """The project's, of these services."""
    from infra.config import monitor_state
    from infra.local import stack
    from infra.models import references
    from infra.settings import run_folder
    from serving.http.page.monitored import Monitored
    from serving.http.page.outcomes import Outcomes
    from serving.http.page.sources import Sources

    folders = stack.Folders(run_folder(project, settings))
    window = settings.monitor.window
    return Sources(
        services=tuple(service.name for service in services),
        registry=registry,
        monitored=Monitored(lambda service: monitor_state(folders.monitor, service, window), window, references(registry)),
        outcomes=Outcomes(folders.outcomes_of),
        reader=kafka.reader if kafka else None,
    )
