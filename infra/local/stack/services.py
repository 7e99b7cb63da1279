"""The services of a stack: which plan and which model each runs, and what would be different after a start now."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from features.errors import DefinitionError
from features.plan import Plan
from infra.local.stack.definitions import Definitions, version_now
from infra.local.stack.folders import Folders
from infra.local.stack.owner import other_owner
from infra.local.stack.record import ready, recorded, recorded_plan, scorer_name
from infra.settings import Settings, run_folder


class Served(NamedTuple):
    """A service that was started, and not stopped."""

    service: str
    plan: Plan | None
    """The plan of its stream job; None where its file cannot be read."""
    version: int | None
    """Of the model that its scorer has; None while it starts."""
    sha256: str | None
    """Of that model."""
    changes: tuple[str, ...] = ()
    """How the plan of definitions.py differs, a line for each difference; also why that is not known."""
    notes: tuple[str, ...] = ()
    """What else a start of its scorer would change."""


def running(project: Path, settings: Settings) -> list[Served]:
    """The services of the project's stack, and what they were started with; none where it has no stack."""
    folders = Folders(run_folder(project, settings))
    stack = None if other_owner(project, folders) else recorded(folders)
    return [runs(folders, service) for service in (stack.services if stack else ())]


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
        one._replace(changes=known[one.service], notes=scorer_notes(project, settings, one, is_new))
        for one in ones
        for is_new in [now.is_new(stack.definitions, one.service) and not known[one.service]]
    ]


def runs(folders: Folders, service: str) -> Served:
    """What a service was started with."""
    scorer = ready(folders, scorer_name(service))
    plan = recorded_plan(folders, service)
    return Served(service, plan, scorer.version if scorer else None, scorer.sha256 if scorer else None)


def scorer_notes(project: Path, settings: Settings, one: Served, is_new: bool) -> tuple[str, ...]:
    """What a start of a scorer would change, the plan aside: the model, and where ``is_new`` the code of definitions.py."""
    notes = []
    version = version_now(project, settings, one.service)
    if one.version is not None and version not in (one.version, None):
        notes.append(f"it predicts with model v{one.version}, {settings.scorer.alias} is v{version}")
    if is_new and one.plan and one.plan.on_demand:
        notes.append("definitions.py has changed, and with it perhaps what its functions call")
    return tuple(notes)
