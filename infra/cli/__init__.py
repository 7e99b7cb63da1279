"""The command line: each module holds the commands of one part, and imports what they need when they run."""

from infra.cli import (
    audit,
    backfill,
    batch_views,
    compress,
    definitions,
    docs,
    docs_settings,
    edge,
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
    tune,
)
from infra.cli.app import run

__all__ = [
    "audit",
    "backfill",
    "batch_views",
    "compress",
    "definitions",
    "docs",
    "docs_settings",
    "edge",
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
    "tune",
]


def main() -> None:
    """The ``headrace`` command."""
    raise SystemExit(run())
