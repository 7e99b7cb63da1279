"""The end of a takeover: what was taken over from predicts what is still its own, ends, and the new processes get its names."""

from __future__ import annotations

import shutil

import msgspec

from features.disk import keep, kept
from features.plan import Plan
from infra.local.stack import Stack
from infra.local.stack.definitions import GONE
from infra.local.stack.record import HTTP, stream_name, writer_name
from infra.local.stack.start import kafka, start
from infra.local.stack.todo import Call, readers
from infra.local.stack.turns import hand_over
from infra.run.takeover.begin import state_of
from infra.run.takeover.cut import offsets_of, running_scorers, turn_of, until_predicted
from infra.run.takeover.offsets import READ_BACK, Offsets, Reader, group_of, nearest, reading, until_read
from infra.run.takeover.pending import Pending, Taken, beside, note, taken_file, write_pending, write_taken


def finish(call: Call, before: Stack | None, pending: Pending) -> Stack | None:
    """End what was taken over from, once it has predicted what is still its own, and give the new processes its names."""
    _record(call, pending)
    if not pending.is_ended:
        _end(call, before, pending)
        write_pending(call.folders, msgspec.structs.replace(pending, is_ended=True))
    return _promote(call, before, pending)


def _record(call: Call, pending: Pending) -> None:
    """Note where it was taken over, beside the checkpoints and in the log."""
    offsets = offsets_of(call.folders.turns, pending)
    note(call.folders, "took over", pending, offsets=offsets)
    for job in pending.jobs:
        ours = {service: found for service, found in offsets.items() if service in job.services}
        write_taken(state_of(call, job), Taken(str(state_of(call, pending.running)), ours))


def _end(call: Call, before: Stack | None, pending: Pending) -> None:
    old = stream_name(pending.running.services)
    with reading(call, kafka(call, before)) as reader:
        if call.processes.running(old):
            call.on_step("waiting until the plan before has predicted what is its own")
            left = _drain(call, pending, reader, old)
        else:
            left = {plan.service: _reads_again(call, pending, reader, plan) for plan, _ in pending.changed}
    ending = [*(plan.service for plan, _ in pending.changed), *pending.gone]
    for name in [*(name for service in ending for name in running_scorers(call, service)), old]:
        call.on_step(f"stopping {name}")
        call.processes.stop(name)
    for service, reads_from in left.items():
        # All events are the new plan's now: its scorers look again at those that both had, and predict what has no prediction.
        hand_over(call.folders.turns, service, {}, reads_from)


def _drain(call: Call, pending: Pending, reader: Reader, old: str) -> dict[str, Offsets]:
    """Wait until the plans before have predicted their last event.

    Gives the services of which some events may be left to the new plan, and where that reads on: those of which something died,
    and in event-time mode all, as the newest events still wait.
    """
    topic, group = pending.running.spine_source.topic, group_of(call, pending.running)
    # Services that keep their plan have no turns: their vectors are this job's up to where those of the jobs beside begin.
    ends = reader.ends(topic) if pending.running.mode == "event_time" else pending.vectors_from  # in event time, vectors wait
    until_read(call, reader, group, {topic: ends}, old)
    found = {}
    for plan, _ in pending.changed:
        ends = turn_of(call, plan).ends or {}
        left = until_read(call, reader, group, {topic: ends}, old)
        left += until_predicted(call, reader, plan)  # Flink commits an offset once all vectors before it are written
        if left or not ends or pending.running.mode == "event_time":
            found[plan.service] = _reads_again(call, pending, reader, plan)
    return found


def _reads_again(call: Call, pending: Pending, reader: Reader, plan: Plan) -> Offsets:
    """Where the new plan of a service reads on: from its first vector on, but no more than its scorers remember."""
    most = int(READ_BACK * call.settings.scorer.dedupe_window)
    return nearest(pending.reads_from[plan.service], reader.ends(plan.features_topic), most)


def _promote(call: Call, before: Stack | None, pending: Pending) -> Stack | None:
    folders, processes = call.folders, call.processes
    for job in pending.jobs:
        for plan in job.plans:
            keep(folders.plan(plan.service), plan)
            folders.plan(plan.service, beside(job)).unlink(missing_ok=True)
        for name in [name for name in processes.names() if beside(job) in name]:
            now = name.replace(beside(job), "")
            if folders.ready(name).is_file():  # before the name: of what has another name already, the next call would not know
                folders.ready(name).replace(folders.ready(now))
            processes.rename(name, now)
    stack = before and _stack(before, pending)
    if stack:
        keep(folders.stack, stack)
    _restart_readers(call, pending, stack)
    _forget_older(call, pending)
    folders.takeover.unlink(missing_ok=True)
    note(folders, "ended", pending)
    return stack


def _stack(before: Stack, pending: Pending) -> Stack:
    running = set(pending.running.services)
    others = tuple(job for job in before.jobs if running.isdisjoint(job))
    services = {*before.services} - {*pending.gone}
    seen = {service: sha for service, sha in before.definitions.items() if service in services}
    seen |= {plan.service: pending.definitions for plan in pending.plans}
    return Stack(before.bootstrap, tuple(sorted(services)), (*others, *(job.services for job in pending.jobs)), seen)


def _restart_readers(call: Call, pending: Pending, stack: Stack | None) -> None:
    """A writer of online rows takes the vectors of one plan, and HTTP serves the plans that it was started with.

    What reads of a service that is gone ends.
    """
    for name in readers(call, dict.fromkeys(pending.gone, GONE)):
        call.processes.stop(name)
    for service in (new.service for _, new in pending.changed):
        name = writer_name(service)
        if call.processes.running(name):
            call.processes.stop(name)
            start(call, name, (service,))
    if stack and HTTP in call.processes.names():
        call.processes.stop(HTTP)
        start(call, HTTP, stack.services)


def _forget_older(call: Call, pending: Pending) -> None:
    """Of the job before, its checkpoints stay, so that there is a way back; those of the one before it go."""
    taken = kept(taken_file(state_of(call, pending.running)), Taken)
    if taken and taken.state not in [str(state_of(call, job)) for job in pending.jobs]:
        shutil.rmtree(taken.state, ignore_errors=True)
