"""What scorers said last of the environments that they serve: which version each has, since when, and how it does."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from infra.local import topics
from infra.models import registry_of
from infra.settings import Settings
from schemas.topics import PRODUCTION, predictions


class Environment(NamedTuple):
    """One environment of one scorer."""

    instance: str
    """The scorer."""
    alias: str
    """``production``, ``canary``, or a shadow's name."""
    model: str
    version: int
    share: float | None
    """Of production's keys, where it is a canary."""
    state: str
    """``serving``, or ``failed``: the version could not be put in service, and what served before still does."""
    error: str | None
    age: float
    """Seconds since it serves, or failed."""
    events: int
    """Predictions since then."""
    errors: int
    skipped: int
    events_per_second: float | None
    p99_ms: float | None
    said: float
    """Seconds since the scorer said so."""


def environments(project: Path, settings: Settings, services: Iterable[str]) -> dict[str, tuple[Environment, ...]]:
    """Of each of the services, what its scorers said last."""
    registry, now = registry_of(project, settings), time.time()
    return {
        service: tuple(
            Environment(
                instance=report.instance,
                alias=one.alias,
                model=one.model,
                version=one.version,
                share=one.share,
                state=one.state,
                error=one.error,
                age=now - one.since / 1000,
                events=one.events,
                errors=one.errors,
                skipped=one.skipped,
                events_per_second=one.events_per_second,
                p99_ms=one.p99_ms,
                said=now - report.at / 1000,
            )
            for report in registry.reports(service)
            for one in report.serving
        )
        for service in services
    }


def aliases_of(project: Path, settings: Settings, service: str) -> list[str]:
    """The shadows of a service, each of which has a topic of its own."""
    return [alias for alias in registry_of(project, settings).deployed(service).aliases if alias != PRODUCTION]


def make_topic(project: Path, settings: Settings, service: str, alias: str, bootstrap: str) -> None:
    """The topic of a shadow's predictions, with as many partitions as production's have."""
    client = settings.kafka.client(bootstrap)
    partitions = topics.partitions(client, predictions(service).name)
    if partitions:
        topics.create(client, {predictions(service, alias).name: partitions}, replication=settings.kafka.replication)
