"""What ``headrace scorer`` runs: for each of its services a scorer with the project's settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from features.service import Service
from infra.config import scorer_config, with_free_port
from infra.kafka import rights
from infra.local import stack, topics
from infra.local.files import fresh
from infra.models import registry_of
from infra.settings import Settings, run_folder
from schemas.topics import DEAD_LETTERS, predictions
from serving.kafka.run import Job, run_all
from serving.kafka.turns import read_turns

if TYPE_CHECKING:
    from features.definitions.load import Project


def run_scorers(project: Path, settings: Settings, services: Sequence[str], instance: int | None, ready: str | None) -> None:
    """Score for these services until the process is stopped.

    ``instance``: which scorer of them it is, none: the settings'; ``ready``: the name under which it says that it works, none:
    its own.
    """
    from features.definitions.load import load  # slow

    loaded = load(project)
    run_all([_job(project, settings, loaded, service, instance, ready) for service in dict.fromkeys(services)])


def _job(project: Path, settings: Settings, loaded: Project, service: str, instance: int | None, ready: str | None) -> Job:
    folders, client = stack.Folders(run_folder(project, settings)), settings.kafka.client(stack.bootstrap(project, settings))
    found: Service = loaded.service(service)
    turn = read_turns(folders.turns, service).of(found.plan.short_digest)
    config = scorer_config(
        settings.scorer,
        service,
        client=client,
        isolation_level=settings.kafka.isolation_level,
        instance=instance,
        longest=topics.longest_records(client, [DEAD_LETTERS.name, predictions(service).name]),
        group=turn.group if turn else None,
        turns=folders.turns,
        ready_file=fresh(folders.ready(ready or stack.scorer_name(service, instance))),
    )
    config = msgspec.structs.replace(config, metrics_port=with_free_port(config.metrics_port, ready))
    rights.require(client, rights.of_scorer(found.plan, config.group, stack.aliases_of(project, settings, service)))
    return Job(found, registry_of(project, settings), config)
