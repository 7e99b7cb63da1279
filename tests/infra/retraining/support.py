"""A project that is retrained by itself: what is called, and what the log then has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from infra.models import registry_of
from infra.settings import load_settings
from schemas.deployment import LogEntry
from serving.models.registry import Registry

DAYS = ("--days", "1", "--delay", "1", "--test-days", "1")
Look = Callable[..., str]
"""`headrace retrain num` with these options; gives what it said."""


def registry_at(project: Path) -> Registry:
    """The project's."""
    return registry_of(project, load_settings(project))


def entries(project: Path) -> list[LogEntry]:
    """The log, but for the first: production's."""
    return list(registry_at(project).entries("num", 1))
