"""A backfill: the history of services whose stream jobs are to begin with full windows, put where the jobs find it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from features.errors import StackError
from features.job import JobPlan, job_plans
from features.plan import Plan
from features.seam import seam_at
from infra.config import resources_of
from infra.local import stack
from infra.local.processes import Processes
from infra.local.stack.owner import refuse_others
from infra.settings import Settings, run_folder
from jobs.history.backfill import write_history
from jobs.history.places import Written
from jobs.stream.backfill import forget, history_folder, record
from jobs.stream.files import newest_checkpoint, state_folder


class Loaded(msgspec.Struct, frozen=True):
    """What a job begins with."""

    services: tuple[str, ...]
    from_ms: dict[str, int]
    """The time of the first row that can matter, by source."""
    until_ms: int
    rows: dict[str, int]
    """How many rows are loaded, by source."""


def load_history(
    project: Path,
    settings: Settings,
    plans: Sequence[Plan],
    until_ms: int,
    histories: Mapping[str, Written] | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> list[Loaded]:
    """Put the history of ``plans`` before ``until_ms`` where their stream jobs, which do not run yet, find it when they start.

    Raises `StackError` where a service runs, or has a checkpoint of this plan, another command changes the stack, or it is
    that of another project; `SettingError` for a file that does not fit.
    """
    folders = stack.Folders(run_folder(project, settings))
    refuse_others(project, folders)
    with Processes(folders.run).lock():
        return _load(project, settings, plans, until_ms, histories, on_step)


def _load(
    project: Path,
    settings: Settings,
    plans: Sequence[Plan],
    until_ms: int,
    histories: Mapping[str, Written] | None,
    on_step: Callable[[str], None],
) -> list[Loaded]:
    running = {one.service for one in stack.running(project, settings)} & {plan.service for plan in plans}
    if running:
        raise StackError(
            f"a backfill is the beginning of a stream job; {', '.join(sorted(running))} runs already; run 'headrace down' first"
        )
    checkpoints = stack.Folders(run_folder(project, settings)).checkpoints
    jobs = {job: state_folder(job, checkpoints, settings.stream.state_backend) for job in job_plans(plans)}
    for job, state in jobs.items():
        if newest_checkpoint(state):
            raise StackError(
                f"a backfill is the beginning of a stream job; that of {', '.join(job.services)} has a checkpoint, from which "
                "'headrace up' goes on; to begin anew, delete the checkpoints with 'headrace down --wipe'"
            )
    return [load_one(project, settings, job, state, until_ms, histories, on_step) for job, state in jobs.items() if job.windows]


def load_one(
    project: Path,
    settings: Settings,
    job: JobPlan,
    state: Path,
    until_ms: int,
    histories: Mapping[str, Written] | None,
    on_step: Callable[[str], None],
) -> Loaded:
    """Put the history of one job where it finds it when it starts with the checkpoints in ``state``; nothing where that fails."""
    forget(state)
    seam = seam_at(job, until_ms, settings.stream.parallelism)
    try:
        rows = write_history(
            job,
            seam,
            project,
            history_folder(state),
            histories=histories,
            times=settings.stream.event_times,
            resources=resources_of(settings.history, project),
            on_source=lambda name: on_step(f"reading the history of {name}"),
        )
        record(state, seam)
    except BaseException:
        forget(state)
        raise
    return Loaded(job.services, dict(seam.from_ms), until_ms, rows)
