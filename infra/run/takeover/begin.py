"""How a job beside another gets full windows: from a checkpoint, from files, or from its topics alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from features.errors import SettingError, StackError
from features.job import JobPlan, job_plan, job_plans
from features.plan import Plan
from features.seam import Seam, seam_at
from features.times import moment_text
from infra.config import stream_config
from infra.kafka.listening import listening
from infra.local.stack.record import KAFKA, recorded_plan
from infra.local.stack.todo import Call, Job, Todo
from jobs.history.places import Written
from jobs.stream import backfill, topics
from jobs.stream.files import newest_checkpoint, state_folder

LATER = "; give the time up to which files have all: 'headrace up --until DATE', with --history SOURCE=FILE where they are others"


class Wanted(NamedTuple):
    """What the user says of it."""

    until_ms: int | None = None
    """Files have every event up to this time; None: as the job that runs was backfilled, if it was."""
    histories: Mapping[str, Written] = {}
    """Other files than the definitions name, by source."""


class Beginning(NamedTuple):
    """How a job begins."""

    kind: Literal["checkpoint", "history", "topics"]
    until_ms: int | None = None
    """The seam, where it begins with a history."""

    def __str__(self) -> str:
        if self.kind == "history":
            return f"from the history until {moment_text(self.until_ms or 0)}, then the topics"
        return (
            "from its last checkpoint"
            if self.kind == "checkpoint"
            else "from the beginning of its topics, which hold all that its windows do"
        )


def state_of(call: Call, job: JobPlan) -> Path:
    """The folder of a job's checkpoints."""
    return state_folder(job, call.folders.checkpoints, call.settings.stream.state_backend)


def plans_of(call: Call, services: Job) -> tuple[tuple[Plan, ...], tuple[Plan, ...]]:
    """The plans that a job runs, and those that its services have in definitions.py."""
    before = tuple(plan for service in services if (plan := recorded_plan(call.folders, service)))
    return before, tuple(call.now.plan(service) for service in services if service in call.now.services)


def newest_seam(call: Call, job: JobPlan) -> Seam | None:
    """Of the jobs that began with a history of one of the sources that the windows of ``job`` are over."""
    sources = {stage.source for stage in job.windows}
    states = {file.parent for file in call.folders.checkpoints.glob("*/*/*/backfill.json")}
    seams = [seam for state in states if (seam := backfill.recorded(state)) and not sources.isdisjoint(seam.from_ms)]
    return max(seams, key=lambda seam: seam.until_ms, default=None)


def beginning(call: Call, job: JobPlan, seam: Seam | None, address: str, wanted: Wanted) -> Beginning:
    """How ``job`` begins, where the one that runs began with a history up to the ``seam``.

    A plan that ran before goes on from its last checkpoint. Else files are read, where the user gives their end, or the job that
    runs began with them; else the topics. Raises `StackError` where that would leave windows half filled without a word.
    """
    if newest_checkpoint(state_of(call, job)):
        return Beginning("checkpoint")
    if not job.windows:
        return Beginning("topics")
    until = wanted.until_ms if wanted.until_ms is not None else seam.until_ms if seam else None
    deleted = _deleted(call, job, address)
    if until is None:
        needed = seam_at(job, int(time.time() * 1000), files=1).from_ms
        for name, at in deleted.items():
            if at >= needed.get(name, at + 1):
                raise StackError(
                    f"a job beside another begins with all that its windows hold; the topic of {name} has lost events up to "
                    f"{moment_text(at)}, and no history was given{LATER}"
                )
        return Beginning("topics")
    for name, at in deleted.items():
        if at >= until:
            raise StackError(
                f"topics begin no later than the history ends; that of {name} has lost events up to {moment_text(at)}, and the "
                f"history ends at {moment_text(until)}{LATER}"
            )
    return Beginning("history", until)


def check_histories(call: Call, work: Todo, wanted: Wanted) -> None:
    """Raise `SettingError` where the end of a history, or a history, is given that no job reads which begins now.

    A job reads it that has no checkpoint yet. So does one that began with a history up to the same time: the same command may be
    given twice.
    """
    if wanted == Wanted():
        return
    begun: dict[JobPlan, Seam | None] = {job: newest_seam(call, job) for job in job_plans(work.new.values())}
    for old in work.over:
        before, now = plans_of(call, old)
        begun |= dict.fromkeys(job_plans(now), backfill.recorded(state_of(call, job_plan(before))))
    running = [job for job in work.kept if job not in work.over and not work.plans.keys().isdisjoint(job)]
    kept = [job_plan(plans) for job in running if (plans := plans_of(call, job)[0])]
    without = {job: why for job in (*begun, *kept) if (why := _why_none(call, job, wanted, begun))}
    sources = {stage.source for job in (*begun, *kept) if job not in without for stage in job.windows}
    unknown = sorted(set(wanted.histories) - sources)
    if sources and not unknown:
        return
    given = unknown or ([] if wanted.until_ms is None else [f"--until {moment_text(wanted.until_ms)}"])
    why = "; ".join(f"{', '.join(job.services)} {why}" for job, why in without.items())
    raise SettingError(
        "a history is read for a job that begins now, of a source that its windows are over: "
        f"{', '.join(sorted(sources)) or why or 'none'}; got {', '.join(given)}; leave it out"
    )


def _why_none(call: Call, job: JobPlan, wanted: Wanted, begun: Mapping[JobPlan, Seam | None]) -> str | None:
    """Why a job reads no history now; None: it reads one, or has read it up to the time that is wanted."""
    state = state_of(call, job)
    before = backfill.recorded(state)
    if before and before.until_ms == wanted.until_ms:
        return None
    if job not in begun:
        return "runs already"
    if newest_checkpoint(state):
        return "goes on from its checkpoint"
    if not job.windows:
        return "has no windows"
    return None if wanted.until_ms is not None or begun[job] else "needs the history's end, --until"


def _deleted(call: Call, job: JobPlan, address: str) -> Mapping[str, int]:
    """By source whose events are not all in its topic any more, the time up to which some are missing.

    Of a local Kafka that does not run yet nothing is known: `up` looks once it does.
    """
    settings, client = call.settings, call.settings.kafka.client(address)
    if not settings.kafka.bootstrap and not call.processes.running(KAFKA):
        return {}
    listening(client)
    with tempfile.TemporaryDirectory() as nowhere:
        config = stream_config(
            settings.stream,
            bootstrap=address,
            kafka=client,
            isolation_level=settings.kafka.isolation_level,
            checkpoints=Path(nowhere),
        )
        return topics.look(job, config, Path(nowhere), is_restored=False).whole_after_ms
