"""``down``: stop the processes of a stack, and delete its data where that is wanted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from features.errors import StackError
from infra.local.files import writing
from infra.local.processes import Processes
from infra.local.stack.folders import Folders
from infra.local.stack.owner import other_owner, whose
from infra.local.stack.record import stop_order
from infra.settings import Settings, run_folder


def down(project: Path, settings: Settings, on_step: Callable[[str], None] = lambda step: None, *, wipe: bool = False) -> None:
    """Stop everything, the broker last. Data stay, unless ``wipe`` says to delete Kafka's and the checkpoints.

    Raises `StackError` where the stack is another project's. In a copy of it, ``wipe`` deletes the copied records and data and
    stops nothing.
    """
    folders = Folders(run_folder(project, settings))
    if not folders.run.is_dir():
        return
    other, processes = other_owner(project, folders), Processes(folders.run)
    if other and (not wipe or other.run.is_at(folders.run)):
        raise StackError(whose(other, folders))
    with writing(folders.run), processes.lock():
        for name in sorted(processes.names(), key=stop_order):
            if other:
                processes.forget(name)
                continue
            on_step(f"stopping {name}")
            processes.stop(name)
        folders.stack.unlink(missing_ok=True)
        shutil.rmtree(folders.ready(""), ignore_errors=True)
        if wipe:
            on_step("deleting Kafka's data and the checkpoints")
            reports = (folders.outcomes, folders.audits)
            for folder in (folders.kafka, folders.checkpoints, folders.plans, folders.turns, folders.monitor, *reports):
                if folder.exists():
                    shutil.rmtree(folder)
            folders.owner.unlink(missing_ok=True)
            folders.takeover.unlink(missing_ok=True)
