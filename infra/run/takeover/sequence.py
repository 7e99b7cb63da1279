"""A takeover from its beginning to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import msgspec
from kafka.errors import KafkaError

from features.disk import keep
from features.errors import HeadraceError, StackError
from features.job import JobPlan, job_plan, job_plans
from features.plan import Plan
from infra.config import scorer_group
from infra.local.stack.record import BESIDE, Stack, scorer_names, stream_name
from infra.local.stack.start import create_topics, must_run, start, wait
from infra.local.stack.todo import Call, Job, Todo
from infra.local.stack.turns import write_turns
from infra.run.backfill import load_one
from infra.run.takeover.begin import (
    Beginning,
    Wanted,
    beginning,
    check_histories,
    newest_seam,
    plans_of,
    state_of,
)
from infra.run.takeover.cut import cut, running_scorers, until_predicted
from infra.run.takeover.finish import finish
from infra.run.takeover.offsets import READ_BACK, Offsets, Reader, group_of, nearest, reading, stuck_seconds, until_read
from infra.run.takeover.pending import (
    Pending,
    beside,
    is_decided,
    note,
    read_pending,
    take_back,
    write_pending,
)
from jobs.stream import backfill
from jobs.stream import beside as beside_file
from jobs.stream.files import newest_checkpoint
from serving.kafka.turns import Turn, Turns, read_turns


class TakeOver:
    """What `infra.local.stack.up` calls where a new plan is to take over."""

    def __init__(self, wanted: Wanted, say: Callable[[Call, Todo], None] = lambda call, work: None) -> None:
        self._wanted = wanted
        self._say = say
        self.names_history = wanted != Wanted()

    def settle(self, call: Call, before: Stack | None, *, replace: bool) -> Stack | None:
        """Bring to an end what an earlier call began, or take it back where that is not wanted any more.

        ``replace``: the plans of the jobs beside would be started once more, over the same checkpoints.
        """
        pending = read_pending(call.folders)
        if pending is None:
            return before
        if is_decided(call.folders, pending):
            return finish(call, before, pending)
        now = {plan.service: call.now.plan(plan.service) for plan in pending.before if plan.service in call.now.services}
        if replace or before is None or tuple(now.values()) != pending.plans:
            _take_back(call, pending)
        return before

    def check(self, call: Call, work: Todo) -> None:
        """Refuse a history, or its end, that no job reads."""
        check_histories(call, work, self._wanted)

    def prepare(self, call: Call, work: Todo) -> None:
        """Say what is taken over; load the histories of services that are new, or say that they have none."""
        if work.over:
            self._say(call, work)
        for job, how in new_beginnings(call, work.new.values(), work.address, self._wanted).items():
            _load(call, job, how, self._wanted)
        for job in job_plans(work.new.values()):
            state, names = state_of(call, job), job.services
            if job.windows and not newest_checkpoint(state) and not backfill.recorded(state):
                call.on_step(
                    f"windows of {', '.join(names)} begin empty and fill from the topics; 'headrace backfill {' '.join(names)} "
                    "--until DATE' begins with history"
                )

    def __call__(self, call: Call, stack: Stack, work: Todo) -> Stack:
        """Put the new plans in the place of those that run, a job after the other.

        What an earlier call began comes first, or is taken back where this one is for other services.
        """
        pending = read_pending(call.folders)
        begun = pending.running.services if pending else ()
        if pending and not any(set(job) == set(begun) for job in work.over):
            _take_back(call, pending)
        for services in sorted(work.over, key=lambda job: set(job) != set(begun)):
            stack = _take_over(call, stack, services, self._wanted)
        return stack


def _take_back(call: Call, pending: Pending) -> None:
    call.on_step("taking back an unfinished takeover")
    take_back(call, pending)
    note(call.folders, "taken back", pending)


def beginnings(call: Call, services: Job, address: str, wanted: Wanted) -> dict[JobPlan, Beginning]:
    """The jobs in the place of the one with these services, and how each begins. Raises `StackError` where one cannot."""
    before, plans = plans_of(call, services)
    running, jobs = job_plan(before), job_plans(plans)
    for job in jobs:
        if job.spine_source.topic != running.spine_source.topic:
            raise StackError(
                f"a job takes over at an offset of the topic whose events are predicted; {', '.join(job.services)} had "
                f"'{running.spine_source.topic}', and has '{job.spine_source.topic}' now; stop it and start anew with "
                "'headrace up --replace'"
            )
    changed = {plan.service for plan in plans if plan not in before}
    silent = sorted(service for service in changed if not running_scorers(call, service))
    if silent:
        raise StackError(
            f"a plan takes over from one that has predicted what came before; no scorer of {', '.join(silent)} runs; restore "
            "definitions.py and run 'headrace up', then change them; or 'headrace up --replace'"
        )
    seam = backfill.recorded(state_of(call, running))
    return {job: beginning(call, job, seam, address, wanted) for job in jobs}


def new_beginnings(call: Call, new: Iterable[Plan], address: str, wanted: Wanted) -> dict[JobPlan, Beginning]:
    """How the jobs of new services begin that have a history: as the user says, or as one did over the same source."""
    jobs = {job: newest_seam(call, job) for job in job_plans(new)}
    return {
        job: beginning(call, job, seam, address, wanted)
        for job, seam in jobs.items()
        if wanted.until_ms is not None or seam is not None
    }


def _take_over(call: Call, stack: Stack, services: Job, wanted: Wanted) -> Stack:
    with reading(call, stack.bootstrap) as reader:
        create_topics(call, stack.bootstrap, plans_of(call, services)[1])
        how = beginnings(call, services, stack.bootstrap, wanted)
        pending = read_pending(call.folders) or _begin(call, services, reader)
        try:
            for old, new in pending.changed:
                _await_turn(call, old, new)
            pending = _start_jobs(call, pending, how, reader, wanted)
            _await_live(call, pending, reader)
            _start_scorers(call, pending)
            _await_before(call, pending, reader)
            call.on_step("choosing the offset at which it takes over")
            cut(call, pending, reader)
        except BaseException as error:
            if not is_decided(call.folders, pending):
                call.on_step("taking it back")
                take_back(call, pending)
                note(call.folders, "failed", pending, error=str(error))
                if isinstance(error, HeadraceError | KafkaError):
                    raise StackError(f"{error}; nothing was taken over: {', '.join(services)} runs on as before") from error
            raise
    pending = msgspec.structs.replace(pending, is_over=True)
    write_pending(call.folders, pending)
    return finish(call, stack, pending) or stack


def _begin(call: Call, services: Job, reader: Reader) -> Pending:
    """Note what is to be done; from now on another call knows of it."""
    before, plans = plans_of(call, services)
    made = [str(state_of(call, job)) for job in job_plans(plans) if not newest_checkpoint(state_of(call, job))]
    pending = Pending(before, plans, call.now.sha256, {}, {}, tuple(made))
    note(call.folders, "began", pending)
    write_pending(call.folders, pending)
    return pending


def _await_turn(call: Call, old: Plan, new: Plan) -> None:
    """Say that there is a new plan, before its vectors are on the topic: the scorers that run leave them alone."""
    found = read_turns(call.folders.turns, old.service)
    if found.turns and found.turns[-1].begins is None:
        return  # an earlier call has said so
    turns = found.turns if found.serving else (*found.turns, Turn(old.short_digest, scorer_group(old.service)))
    waiting = Turn(new.short_digest, f"{scorer_group(new.service)}.{len(turns)}", begins=None)
    write_turns(call.folders.turns, old.service, Turns((*turns, waiting)))


def _start_jobs(call: Call, pending: Pending, how: dict[JobPlan, Beginning], reader: Reader, wanted: Wanted) -> Pending:
    for job in pending.jobs:
        name = stream_name(job.services) + beside(job)
        if call.processes.running(name) is None:
            _load(call, job, how[job], wanted)
            pending = _note_offsets(call, pending, job, reader)
            for plan in job.plans:
                keep(call.folders.plan(plan.service, beside(job)), plan)
            start(call, name, job.services, beside(job))
        call.on_step(f"waiting for {name}")
        wait(call, name, job)
    return pending


def _load(call: Call, job: JobPlan, how: Beginning, wanted: Wanted) -> None:
    """Load the history that a job begins with, unless an earlier call has, or it goes on from a checkpoint."""
    state = state_of(call, job)
    loaded = backfill.recorded(state)
    if how.until_ms is None or newest_checkpoint(state) or (loaded and loaded.until_ms == how.until_ms):
        return
    used = {stage.source for stage in job.windows}
    histories = {name: place for name, place in wanted.histories.items() if name in used}
    load_one(call.project, call.settings, job, state, how.until_ms, histories, call.on_step)


def _note_offsets(call: Call, pending: Pending, job: JobPlan, reader: Reader) -> Pending:
    """From which events on the jobs beside give vectors: those that the one before may not come to."""
    if not pending.vectors_from:
        reads_from = {new.service: reader.ends(new.features_topic) for _, new in pending.changed}
        vectors_from = _vectors_from(call, pending.running, reader)
        pending = msgspec.structs.replace(pending, vectors_from=vectors_from, reads_from=reads_from)
        write_pending(call.folders, pending)
    beside_file.record(state_of(call, job), pending.vectors_from)
    return pending


def _vectors_from(call: Call, running: JobPlan, reader: Reader) -> Offsets:
    """From the topic's end on; in event-time mode from before it, as the newest events wait, and an early one waits longer.

    But no more than scorers remember, who drop what has its prediction.
    """
    spine, stream = running.spine_source, call.settings.stream
    ends = reader.ends(spine.topic)
    if running.mode == "arrival":
        return ends
    delay_ms = max(plan.delay_ms for plan in running.plans)
    since = reader.since(spine.topic, int(time.time() * 1000) - stream.max_ahead_ms - stream.idle_timeout_ms - delay_ms)
    return nearest(since, ends, int(READ_BACK * call.settings.scorer.dedupe_window))


def _await_live(call: Call, pending: Pending, reader: Reader) -> None:
    """Return when the jobs beside have read all that their topics held when this was called."""
    for job in pending.jobs:
        name, group = stream_name(job.services) + beside(job), group_of(call, job)
        call.on_step(f"waiting until {name} has caught up")
        topics = {source.topic: reader.ends(source.topic) for source in job.sources}
        left = until_read(call, reader, group, topics, name)
        must_run(call, name)
        if left:
            raise StackError(
                f"{name} read nothing of its topics for {stuck_seconds(call):.0f} s, and {left} records are left; see its log"
            )


def _start_scorers(call: Call, pending: Pending) -> None:
    """Those of the new plans, which wait for their turn with their models loaded."""
    names = {
        name: new.service
        for _, new in pending.changed
        for name in scorer_names(f"{new.service}{beside(pending.job_of(new.service))}", call.settings)
    }
    for name, service in names.items():
        if call.processes.running(name) is None:
            start(call, name, (service,), BESIDE)
    for name in names:
        call.on_step(f"waiting for {name}")
        wait(call, name, None)


def _await_before(call: Call, pending: Pending, reader: Reader) -> None:
    """Return when the plans before have predicted all events that the jobs beside give no vectors to.

    Of these nobody else could: from the moment that the offsets are chosen, what runs may die or be stopped.
    """
    old, spine = stream_name(pending.running.services), pending.running.spine_source
    call.on_step(f"waiting until {old} has come to where its successor began")
    left = until_read(call, reader, group_of(call, pending.running), {spine.topic: pending.vectors_from}, old)
    for plan, _ in pending.changed:
        left += until_predicted(call, reader, plan)
    if left:
        raise StackError(
            f"a plan takes over from one that has predicted what came before; {left} records are left to {old} and its scorers; "
            "see their logs, and run 'headrace up' again once they have caught up"
        )
