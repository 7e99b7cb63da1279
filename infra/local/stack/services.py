"""The services of a stack: which plan each runs, which models serve it, and what would be different after a start now."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from features.errors import DefinitionError
from features.plan import Plan
from infra.local.stack.definitions import Definitions
from infra.local.stack.environments import Environment, environments
from infra.local.stack.folders import Folders
from infra.local.stack.owner import other_owner
from infra.local.stack.record import ready, recorded, recorded_plan, scorer_name
from infra.settings import Settings, run_folder
from schemas.topics import PRODUCTION


class Served(NamedTuple):
    """A service that was started, and not stopped."""

    service: str
    plan: Plan | None
    """The plan of its stream job; None where its file cannot be read."""
    started: int | None = None
    """The version in production that its first scorer began with; None while it starts."""
    environments: tuple[Environment, ...] = ()
    """What its scorers said last, each of each environment."""
    changes: tuple[str, ...] = ()
    """How the plan of definitions.py differs, a line for each difference; also why that is not known."""
    notes: tuple[str, ...] = ()
    """What else a start of its scorer would change."""

    @property
    def version(self) -> int | None:
        """Of the model in production: as its scorers said last, or as the first began; None while it starts."""
        found = (one.version for one in self.environments if one.alias == PRODUCTION and one.state == "serving")
        return next(found, self.started) if self.started is not None else None


def running(project: Path, settings: Settings) -> list[Served]:
    """The services of the project's stack, and what they were started with; none where it has no stack."""
    folders = Folders(run_folder(project, settings))
    stack = None if other_owner(project, folders) else recorded(folders)
    services = stack.services if stack else ()
    said = environments(project, settings, services)
    return [_runs(folders, service, said[service]) for service in services]


def served(project: Path, settings: Settings) -> list[Served]:
    """The same, and what would be different by now. Imports Feast only where definitions.py has changed."""
    ones = running(project, settings)
    stack = recorded(Folders(run_folder(project, settings)))
    if not ones or stack is None:
        return []
    try:
        now = Definitions(project)
        known = {one.service: tuple(now.changes(stack.definitions, one.service, one.plan)) for one in ones}
    except DefinitionError as error:
        return [one._replace(changes=(str(error),)) for one in ones]
    return [
        one._replace(changes=known[one.service], notes=scorer_notes(one.plan, is_new))
        for one in ones
        for is_new in [now.is_new(stack.definitions, one.service) and not known[one.service]]
    ]


def _runs(folders: Folders, service: str, said: tuple[Environment, ...]) -> Served:
    begun = ready(folders, scorer_name(service))
    return Served(service, recorded_plan(folders, service), begun.version if begun else None, said)


def scorer_notes(plan: Plan | None, is_new: bool) -> tuple[str, ...]:
    """What a start of a scorer would change, the plan aside: where ``is_new``, the code of definitions.py."""
    if is_new and plan and plan.on_demand:
        return ("definitions.py has changed, and with it perhaps what its functions call",)
    return ()
