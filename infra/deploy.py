"""A change of what a service's environments serve, and what it needs on Kafka."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import StackError
from infra.local import stack

if TYPE_CHECKING:
    from infra.settings import Settings
    from serving.models.lifecycle import Change, Entry
    from serving.models.registry import Registry


def deploy(project: Path, settings: Settings, registry: Registry, service: str, change: Change) -> Entry:
    """Make a change of a service. A shadow has its topic first, where Kafka is known and runs; else `headrace up` makes it."""
    if change.action == "alias" and change.version is not None:
        registry.check(service, change)  # what is refused leaves no topic
        with suppress(StackError):  # no stack, or its Kafka does not run
            stack.make_topic(project, settings, service, change.alias or "", stack.bootstrap(project, settings))
    return registry.change(service, change)  # scorers follow the log at once
