"""What is being taken over, in ``takeover.json``: enough for another call to go on with it, or to take it back."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec

from features.disk import keep, kept
from features.job import JobPlan, job_plan, job_plans
from features.plan import Plan
from infra.local.stack import Folders
from infra.local.stack.record import BESIDE
from infra.local.stack.todo import Call
from infra.local.stack.turns import write_turns
from infra.run.takeover.offsets import Offsets
from serving.kafka.turns import Turns, read_turns


class Pending(msgspec.Struct, frozen=True):
    """One job, and the plans in its place."""

    before: tuple[Plan, ...]
    """Those that run: all of the job."""
    plans: tuple[Plan, ...]
    """Those of its services as definitions.py has them; a service that it no longer has is not here."""
    definitions: str
    """The sha256 of definitions.py."""
    vectors_from: Offsets
    """The events of the spine that the jobs beside give vectors to."""
    reads_from: dict[str, Offsets]
    """By service that changes its plan: an offset of its feature vectors before which there is none of the plan."""
    made: tuple[str, ...] = ()
    """The folders of checkpoints that were not there before."""
    is_over: bool = False
    """Whether the jobs beside have taken over, and the one before is to end."""
    is_ended: bool = False
    """Whether it has ended, and the new processes are to get its names."""

    @property
    def running(self) -> JobPlan:
        """The job that runs."""
        return job_plan(self.before)

    @property
    def jobs(self) -> tuple[JobPlan, ...]:
        """The jobs in its place."""
        return job_plans(self.plans)

    @property
    def changed(self) -> tuple[tuple[Plan, Plan], ...]:
        """The services that change their scorers: the plan before, and the one after."""
        now = {plan.service: plan for plan in self.plans}
        return tuple((old, now[old.service]) for old in self.before if old.service in now and now[old.service] != old)

    @property
    def gone(self) -> tuple[str, ...]:
        """The services that end."""
        return tuple(sorted({plan.service for plan in self.before} - {plan.service for plan in self.plans}))

    def job_of(self, service: str) -> JobPlan:
        """The job that a service is in then."""
        return next(job for job in self.jobs if service in job.services)


def beside(job: JobPlan) -> str:
    """What the processes of a job have behind their names as long as it is beside another."""
    return f"{BESIDE}{job.short_digest}"


def read_pending(folders: Folders) -> Pending | None:
    """What an earlier call did not come to the end of. Raises `StackError` where the file of it is broken."""
    return kept(folders.takeover, Pending)


def write_pending(folders: Folders, pending: Pending) -> None:
    """Note how far it is."""
    keep(folders.takeover, pending)


def is_decided(folders: Folders, pending: Pending) -> bool:
    """Whether one of the new plans has its turn: from then on there is only forward."""
    if pending.is_over:
        return True
    turns = [(read_turns(folders.turns, new.service), new) for _, new in pending.changed]
    return any(of_one.serving is not None and of_one.serving.plan == new.short_digest for of_one, new in turns)


def take_back(call: Call, pending: Pending) -> None:
    """End what was started beside, and remove what it left: the job that runs goes on as if nothing had been."""
    folders, processes = call.folders, call.processes
    for name in [name for name in processes.names() if BESIDE in name]:
        processes.stop(name)
    for _, plan in pending.changed:
        found = read_turns(folders.turns, plan.service)
        never = [msgspec.structs.replace(turn, begins={}, ends={}) if turn.begins is None else turn for turn in found.turns]
        write_turns(folders.turns, plan.service, Turns(tuple(never)))
    for state in pending.made:
        shutil.rmtree(state, ignore_errors=True)
    for file in folders.plans.glob(f"*{BESIDE}*.json"):
        file.unlink()
    folders.takeover.unlink(missing_ok=True)


def note(folders: Folders, event: str, pending: Pending, **more: Any) -> None:
    """Add a line to the log of takeovers."""
    plans = {plan.service: plan.short_digest for plan in pending.plans}
    line = {"at": int(time.time() * 1000), "event": event, "job": pending.running.short_digest, "plans": plans, **more}
    folders.logs.mkdir(parents=True, exist_ok=True)
    with folders.takeovers.open("a") as file:
        file.write(json.dumps(line) + "\n")


class Taken(msgspec.Struct, frozen=True):
    """``takeover.json`` beside the checkpoints of a job: where it took over, and from what."""

    state: str
    """The folder of the checkpoints of the job before: kept until the next one takes over."""
    offsets: dict[str, Offsets]
    """By service that changed its plan, the offsets of the spine's topic from which on its predictions are of the new plan."""


def taken_file(state: Path) -> Path:
    """Where it is, beside the checkpoints in ``state``."""
    return state / "takeover.json"


def write_taken(state: Path, taken: Taken) -> None:
    """Note it."""
    keep(taken_file(state), taken)
