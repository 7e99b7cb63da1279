"""The end of a takeover: what was taken over from predicts what is still its own, ends, and the new processes get its names."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

import msgspec

from infra.local.files import read_json, write_whole
from infra.local.stack import Stack
from infra.local.stack.definitions import GONE
from infra.local.stack.record import HTTP, stream_name, writer_name
from infra.local.stack.start import start
from infra.local.stack.todo import Call, readers
from infra.local.stack.turns import hand_over
from infra.run.takeover.begin import state_of
from infra.run.takeover.cut import offsets_of, running_scorers
from infra.run.takeover.offsets import READ_BACK, Offsets, Reader, group_of, nearest, reading, until_read
from infra.run.takeover.pending import Pending, Taken, beside, note, taken_file, write_pending, write_taken
from serving.kafka.turns import read_turns


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
    left: Mapping[str, Offsets] = pending.reads_from
    if before and call.processes.running(old):
        call.on_step("waiting until the plan before has predicted what is its own")
        with reading(call, before) as reader:
            left = _drain(call, pending, reader, old)
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
    most = int(READ_BACK * call.settings.scorer.dedupe_window)
    # Services that keep their plan have no turns: their vectors are this job's up to where those of the jobs beside begin.
    ends = reader.ends(topic) if pending.running.mode == "event_time" else pending.vectors_from  # in event time, vectors wait
    until_read(call, reader, group, {topic: ends}, old)
    found = {}
    for plan, _ in pending.changed:
        turns = read_turns(call.folders.turns, plan.service).turns
        turn = next(one for one in reversed(turns) if one.plan == plan.short_digest)
        left = until_read(call, reader, group, {topic: turn.ends or {}}, old)
        written = reader.ends(plan.features_topic)  # Flink commits an offset once all vectors before it are written
        scorers = running_scorers(call, plan.service)
        left += sum(until_read(call, reader, turn.group, {plan.features_topic: written}, name) for name in scorers)
        if left or not turn.ends or pending.running.mode == "event_time":
            found[plan.service] = nearest(pending.reads_from[plan.service], written, most)
    return found


def _promote(call: Call, before: Stack | None, pending: Pending) -> Stack | None:
    folders, processes = call.folders, call.processes
    for job in pending.jobs:
        for plan in job.plans:
            write_whole(folders.plan(plan.service), msgspec.json.encode(plan))
            folders.plan(plan.service, beside(job)).unlink(missing_ok=True)
        for name in [name for name in processes.names() if beside(job) in name]:
            processes.rename(name, name.replace(beside(job), ""))
            ready, now = folders.ready(name), folders.ready(name.replace(beside(job), ""))
            if ready.is_file():
                ready.replace(now)
    stack = before and _stack(before, pending)
    if stack:
        write_whole(folders.stack, msgspec.json.encode(stack))
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
    taken = read_json(taken_file(state_of(call, pending.running)), Taken)
    if taken and taken.state not in [str(state_of(call, job)) for job in pending.jobs]:
        shutil.rmtree(taken.state, ignore_errors=True)
