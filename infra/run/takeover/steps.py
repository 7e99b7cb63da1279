"""What `headrace up` will do, a row for each service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from infra.local.stack.definitions import GONE
from infra.local.stack.record import HTTP, role_of
from infra.local.stack.start import OnStep, look
from infra.local.stack.todo import SURPLUS, Call, Todo
from infra.run.takeover.begin import Wanted, check_histories
from infra.run.takeover.sequence import beginnings, new_beginnings
from infra.settings import Settings


class Row(NamedTuple):
    """A service."""

    service: str
    action: str
    """``keep``, ``start``, ``take over``, ``stop``."""
    how: str
    """In words."""


def rows(
    project: Path, settings: Settings, services: Sequence[str], wanted: Wanted, on_step: OnStep, *, replace: bool
) -> list[Row]:
    """What `up` will do. Raises what it would raise before it changed anything."""
    call, work = look(project, settings, services, on_step, replace=replace)
    return rows_of(call, work, wanted)


def rows_of(call: Call, work: Todo, wanted: Wanted) -> list[Row]:
    """The same of what there is to do."""
    check_histories(call, work, wanted)
    found: list[Row] = []
    for job in work.over:
        how = {s: str(one) for begun, one in beginnings(call, job, work.address, wanted).items() for s in begun.services}
        for service in job:
            lines = work.changed.get(service, [])
            if lines == [GONE]:
                found.append(Row(service, "stop", GONE))
            elif lines:
                found.append(Row(service, "take over", f"beside it a job begins {how[service]}: {'; '.join(lines)}"))
            else:
                found.append(Row(service, "keep", f"its job is shared, and one beside it begins {how[service]}"))
    begun = new_beginnings(call, work.new.values(), work.address, wanted)
    how = {service: f"a job begins {one}" for job, one in begun.items() for service in job.services}
    found += [Row(service, "start", how.get(service, "")) for service in work.new]
    kept = {service for job in work.kept if job not in work.over for service in job}
    again = {
        service: [name for name in {**work.again, **work.stop} if role_of(name)[0] != "stream" and role_of(name)[1] == service]
        for service in kept
    }
    found += [Row(service, "keep", _started_again(names, work)) for service, names in again.items()]
    if HTTP in work.again:
        found.append(Row(HTTP, "keep", _started_again([HTTP], work)))
    found += [Row(service, "stop", GONE) for service in work.gone]
    return sorted(found)


def _started_again(names: Iterable[str], work: Todo) -> str:
    why = {**work.again, **work.stop}
    ends = {name: why[name] in SURPLUS.values() for name in names}
    return " | ".join(f"{name} {'ends' if ends[name] else 'starts again'}: {why[name]}" for name in names)
