"""The command line: each module holds the commands of one part, and imports what they need when they run."""

from infra.cli import (
    audit,
    backfill,
    batch_views,
    definitions,
    docs,
    docs_settings,
    end_to_end,
    events,
    explain,
    history,
    init,
    models,
    models_add,
    models_change,
    models_diff,
    models_import,
    models_log,
    monitor,
    online,
    schedule,
    score,
    serve,
    services,
    training,
)
from infra.cli.app import run

__all__ = [
    "audit",
    "backfill",
    "batch_views",
    "definitions",
    "docs",
    "docs_settings",
    "end_to_end",
    "events",
    "explain",
    "history",
    "init",
    "main",
    "models",
    "models_add",
    "models_change",
    "models_diff",
    "models_import",
    "models_log",
    "monitor",
    "online",
    "schedule",
    "score",
    "serve",
    "services",
    "training",
]


def main() -> None:
    """The ``headrace`` command."""
    raise SystemExit(run())
