"""What the page of ``headrace serve`` reads from."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from features.plan import Plan
    from features.service import Service
    from infra.settings import Settings
    from serving.http.config import KafkaConfig
    from serving.http.page.sources import Explained, Sources
    from serving.models.registry import Registry


def sources_of(
    project: Path,
    settings: Settings,
    services: Sequence[Service],
    registry: Registry,
    kafka: KafkaConfig | None,
    explain: Callable[[str, str], Explained] | None = None,
) -> Sources:
    """The project's, of these services; ``explain`` explains their events."""
    from infra.config import monitor_state
    from infra.local import stack
    from infra.local.processes import Processes
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
        client=kafka.client if kafka else None,
        plans={plan.service: plan for plan in (kafka.plans if kafka else ())},
        metrics=partial(stack.metrics, project, settings),
        cpu=Processes(folders.run).cpu_seconds,
        audit_file=folders.audit_of,
        batch_days=partial(_batch_days, project, {service.name: service.plan for service in services}),
        explain=explain,
        core_hour=settings.http.core_hour,
        currency=settings.http.currency,
    )


def _batch_days(project: Path, plans: Mapping[str, Plan], service: str) -> dict[str, str]:
    """By batch view of a service, the newest day that its file has."""
    from jobs.history.batch_file import days_of

    found = {view.view: days_of(project / view.path) for view in plans[service].batch}
    return {view: str(max(days)) for view, days in found.items() if days}
