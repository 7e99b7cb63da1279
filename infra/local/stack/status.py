"""``status``: the processes of a stack, what they run, and what is different by now."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from infra.local.processes import Processes
from infra.local.stack.environments import Environment
from infra.local.stack.folders import Folders
from infra.local.stack.owner import other_owner
from infra.local.stack.record import KAFKA, Stack, ready, recorded, role_of, served_by, stop_order, works
from infra.local.stack.services import Served, served
from infra.local.stack.told import told_otherwise
from infra.settings import Settings, run_folder


class Row(NamedTuple):
    """One process of the stack, as ``headrace status`` shows it."""

    name: str
    state: str
    """``running``, ``starting`` or ``died``."""
    pid: int | None
    uptime: float | None
    """Seconds."""
    address: str | None
    log: str | None
    services: tuple[str, ...]
    """Whom it serves."""
    plans: dict[str, str]
    """By service, the digest of the plan that it runs."""
    environments: tuple[Environment, ...] = ()
    """Of a scorer: what it serves, as it said last."""
    differs: tuple[str, ...] = ()
    """What would be different after a start now, a line for each difference."""


def status(project: Path, settings: Settings) -> list[Row]:
    """Every process of the project that was started and not stopped."""
    folders, processes = Folders(run_folder(project, settings)), Processes(run_folder(project, settings))
    if other_owner(project, folders):
        return []
    stack, known = recorded(folders), {one.service: one for one in served(project, settings)}
    names = sorted(processes.names(), key=stop_order, reverse=True)
    first = settings.scorer.instance
    otherwise = told_otherwise(processes, settings, names)
    rows = [_row(folders, processes, stack, known, name, first) for name in names]
    return [row._replace(differs=(*row.differs, *otherwise.get(row.name, ()))) for row in rows]


def _row(folders: Folders, processes: Processes, stack: Stack | None, known: dict[str, Served], name: str, first: int) -> Row:
    role, _, number = role_of(name)
    services = served_by(stack, name)
    ones = [known[service] for service in services if service in known]
    plans = {one.service: one.plan.digest for one in ones if one.plan}
    row = Row(name, "died", None, None, None, str(processes.logs / f"{name}.log"), services, plans)
    process = processes.running(name)
    if process:
        state = "running" if works(folders, processes, name) else "starting"
        address = _address(folders, stack, name)
        row = row._replace(state=state, pid=process.pid, uptime=time.time() - process.created, address=address)
    if role != "scorer":
        return row._replace(differs=tuple(f"{one.service}: {line}" for one in ones for line in one.changes))
    for one in ones:
        said = tuple(said for said in one.environments if said.instance == str(first if number is None else number))
        row = row._replace(differs=(*one.changes, *one.notes), environments=said if process else ())
    return row


def _address(folders: Folders, stack: Stack | None, name: str) -> str | None:
    if name == KAFKA:
        return stack.bootstrap if stack else None
    written = ready(folders, name)
    return ", ".join(filter(None, (written.rest, written.metrics))) or None if written else None
