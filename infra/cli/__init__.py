"""The command line: each module holds the commands of one part, and imports what they need when they run."""

from infra.cli import definitions, docs, events, history, main_job, services
from infra.cli.app import run

__all__ = ["definitions", "docs", "events", "history", "main", "main_job", "services"]


def main() -> None:
    """The ``headrace`` command."""
    raise SystemExit(run())
