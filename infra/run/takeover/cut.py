"""The moment of a takeover: scorers stand still, an offset is chosen for each partition of the spine, and they go on.

The order is what makes it right. While the scorers of the plan before stand still, every event that they have seen lies before
the end of the spine, so they have predicted none that is the new plan's. The end of the vectors was looked up before: those that
the new job had written by then are of events before the end of the spine, so the new scorers need not read them.
"""

from __future__ import annotations

import fcntl
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from features.errors import StackError
from features.plan import Plan
from infra.local.stack.record import BESIDE, role_of, scorer_name
from infra.local.stack.todo import Call
from infra.local.stack.turns import hand_over
from infra.run.takeover.offsets import Offsets, Reader, until_read
from infra.run.takeover.pending import Pending
from serving.kafka.turns import Turn, held_file, hold_file, read_turns

HOLD_SECONDS = 15.0
"""For scorers to stand still: longer than one takes for a poll."""


def cut(call: Call, pending: Pending, reader: Reader) -> None:
    """Choose the offsets, and let the scorers know. Raises `StackError` where one does not stand still."""
    folder = call.folders.turns
    services = [plan.service for plan, _ in pending.changed]
    with _held(folder, services) as said:
        _await_still(call, pending, said)
        read_from = {
            service: reader.ends(plan.features_topic) for (plan, _), service in zip(pending.changed, services, strict=True)
        }
        offsets = reader.ends(pending.running.spine_source.topic)
        for old, _ in pending.changed:
            hand_over(folder, old.service, offsets, read_from[old.service])
    for file in (file for service in services for file in folder.glob(f"{service}.*.held")):
        file.unlink(missing_ok=True)


def offsets_of(folder: Path, pending: Pending) -> dict[str, Offsets]:
    """By service, the offsets that were chosen."""
    last = {old.service: read_turns(folder, old.service).of(old.short_digest) for old, _ in pending.changed}
    return {service: turn.ends for service, turn in last.items() if turn and turn.ends}


def running_scorers(call: Call, service: str) -> Mapping[str, int]:
    """The scorers of a service that run, those beside left out, and which of them each is."""
    found = {name: role_of(name) for name in call.processes.names() if BESIDE not in name}
    first = call.settings.scorer.instance
    return {
        name: first if number is None else number
        for name, (role, of, number) in found.items()
        if role == "scorer" and of == service and call.processes.running(name)
    }


def turn_of(call: Call, plan: Plan) -> Turn:
    """The turn of a plan that is taken over from, which `up` noted before it began."""
    return next(turn for turn in reversed(read_turns(call.folders.turns, plan.service).turns) if turn.plan == plan.short_digest)


def until_predicted(call: Call, reader: Reader, plan: Plan) -> int:
    """Wait until the scorers of a plan that is taken over from have read all vectors that there are now; gives what is left.

    Where none runs any more, what they have not read is left.
    """
    group, vectors = turn_of(call, plan).group, {plan.features_topic: reader.ends(plan.features_topic)}
    names = running_scorers(call, plan.service) or (scorer_name(plan.service),)
    return max(until_read(call, reader, group, vectors, name) for name in names)


@contextmanager
def _held(folder: Path, services: list[str]) -> Iterator[bytes]:
    """Within, the scorers of these services stand still, as soon as they look; gives what they write then."""
    said = uuid.uuid4().hex.encode()
    with ExitStack() as files:
        for service in services:
            file = files.enter_context(hold_file(folder, service).open("wb"))
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(said)
            file.flush()
        yield said


def _await_still(call: Call, pending: Pending, said: bytes) -> None:
    deadline = time.monotonic() + HOLD_SECONDS
    for old, _ in pending.changed:
        for name, instance in running_scorers(call, old.service).items():
            held = held_file(call.folders.turns, old.service, old.short_digest, instance)
            while not (held.is_file() and held.read_bytes() == said):
                if call.processes.running(name) is None:
                    break
                if time.monotonic() > deadline:
                    raise StackError(
                        f"scorers stand still while it is chosen which events are whose; {name} did not; see its log"
                    )
                time.sleep(0.01)
