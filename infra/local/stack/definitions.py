"""What runs, held against what definitions.py has now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from features.changes import changes
from features.definitions import definitions_file
from features.plan import Plan

if TYPE_CHECKING:
    from features.definitions.load import Project

GONE = "it is no longer in definitions.py"


class Definitions:
    """definitions.py as it is now, compiled when a plan is wanted.

    Raises `DefinitionError` where there is no such file, and later for the first definition that breaks a rule.
    """

    def __init__(self, project: Path) -> None:
        self.sha256 = hashlib.sha256(definitions_file.find(project).read_bytes()).hexdigest()
        self._folder = project

    @property
    def is_compiled(self) -> bool:
        """Whether a plan was wanted before: the first one costs seconds."""
        return "_project" in self.__dict__

    @property
    def services(self) -> tuple[str, ...]:
        """All of its services."""
        return tuple(self._project.services)

    def plan(self, service: str) -> Plan:
        """The plan of a service. Raises `DefinitionError` where it has no such service."""
        return self._project.service(service).plan

    def is_new(self, seen: Mapping[str, str], service: str) -> bool:
        """Whether the file is another than the one that was seen to give what runs of ``service``."""
        return seen.get(service) != self.sha256

    def changes(self, seen: Mapping[str, str], service: str, running: Plan | None) -> list[str]:
        """How the plan of ``service`` differs from the one that runs, as far as that is known; compiles a new file only."""
        if not self.is_new(seen, service):
            return []
        if service not in self.services:
            return [GONE]
        return changes(running, self.plan(service)) if running else []

    @cached_property
    def _project(self) -> Project:
        from features.definitions.load import load  # imports Feast: seconds

        return load(self._folder)
