"""The local stack: Kafka, stream jobs and a scorer for each service, as processes that go on when the command ends.

::

    <run_dir>/stack.json          where Kafka is, which services were started, and which of them share a stream job
             /processes, /logs    see `infra.local.processes`
             /ready/<name>        written by a process once it does its work
             /plans/<service>     the compiled plan, so that the stream job needn't import Feast
             /settings.json       the settings of the processes that are started, without secrets
             /kafka, /checkpoints what --wipe deletes
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from features.errors import StackError
from features.job import job_plans
from features.plan import Plan
from infra.local import jars, topics
from infra.local.broker import Broker
from infra.local.processes import Processes
from infra.settings import Settings, run_folder, secrets, write_settings
from schemas.topics import DEAD_LETTERS, LATE_ROWS

KAFKA = "kafka"
READY_SECONDS = 120.0

OnStep = Callable[[str], None]


class Folders(NamedTuple):
    """Where the parts of a project's stack are."""

    run: Path

    @property
    def stack(self) -> Path:
        """Where Kafka is, for those who come later."""
        return self.run / "stack.json"

    @property
    def settings(self) -> Path:
        """The settings that processes are started with."""
        return self.run / "settings.json"

    @property
    def logs(self) -> Path:
        """The logs of all processes."""
        return self.run / "logs"

    @property
    def kafka(self) -> Path:
        """The local broker's data."""
        return self.run / "kafka"

    @property
    def checkpoints(self) -> Path:
        """The stream jobs' state."""
        return self.run / "checkpoints"

    def ready(self, name: str) -> Path:
        """The file that the process called ``name`` writes when it does its work."""
        return self.run / "ready" / name

    def plan(self, service: str) -> Path:
        """The compiled plan."""
        return self.run / "plans" / f"{service}.json"


class Stack(msgspec.Struct, frozen=True):
    """What stack.json holds."""

    bootstrap: str
    services: tuple[str, ...]
    jobs: tuple[tuple[str, ...], ...] = ()
    """The services of each stream job; the first names it (`features.job.JobPlan`)."""

    def job_of(self, service: str) -> tuple[str, ...]:
        """The services that share a job with ``service``, and itself; none where it has no job yet."""
        return next((job for job in self.jobs if service in job), ())


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
    services: tuple[str, ...] = ()
    """Whom it serves."""


def up(project: Path, settings: Settings, services: Sequence[str] = (), on_step: OnStep = lambda step: None) -> Stack:
    """Start what does not run yet of Kafka, the topics and the services, and wait until all do their work.

    ``services``: those of the settings where none is named, and all of definitions.py where they name none either. Services of
    one spine and one mode share a stream job; one that runs is left as it is, and what comes later has a job of its own. Raises
    `StackError` with the last line of its log for a process that ends or isn't ready within two minutes.
    """
    folders, processes = _local(project, settings)
    with processes.lock():
        wanted, before = tuple(services or settings.services), recorded(folders)
        if before and wanted and all(_works(folders, processes, name) for name in _names(before, wanted, settings)):
            return before
        broker = None if settings.kafka.bootstrap else _start_broker(folders, processes, on_step)
        on_step("reading definitions.py")
        dead = [job for job in (before.jobs if before else ()) if not processes.running(_stream(job))]
        plans = _plans(project, _with_their_jobs(wanted, dead))
        if broker:
            on_step("waiting for Kafka")
            broker.wait(lambda: processes.running(KAFKA) is not None)
        stack = _stack(broker.bootstrap if broker else str(settings.kafka.bootstrap), plans, before, dead)
        _forget(processes, {_stream(job) for job in dead} - {_stream(job) for job in stack.jobs})
        _write(folders.stack, stack)
        on_step("creating topics")
        _create_topics(settings, stack.bootstrap, plans.values())
        for plan in plans.values():
            _write(folders.plan(plan.service), plan)
        write_settings(settings, folders.settings)
        names = [name for name in _names(stack, plans, settings) if name != KAFKA]
        for name in names:
            if not processes.running(name):
                _start(project, settings, folders, processes, stack, name)
        for name in names:
            on_step(f"waiting for {name}")
            _wait(folders, processes, name)
        for name in names:  # one that was ready may have ended since: a stream job that cannot read its checkpoint
            _wait(folders, processes, name)
    return stack


def down(project: Path, settings: Settings, on_step: OnStep = lambda step: None, *, wipe: bool = False) -> None:
    """Stop everything, the broker last. Data stay, unless ``wipe`` says to delete Kafka's and the checkpoints."""
    folders, processes = _local(project, settings)
    with processes.lock():
        for name in sorted(processes.names(), key=_stop_order):
            on_step(f"stopping {name}")
            processes.stop(name)
        folders.stack.unlink(missing_ok=True)
        shutil.rmtree(folders.ready(""), ignore_errors=True)
        if wipe:
            on_step("deleting Kafka's data and the checkpoints")
            for folder in (folders.kafka, folders.checkpoints):
                shutil.rmtree(folder, ignore_errors=True)


def status(project: Path, settings: Settings) -> list[Row]:
    """Every process that was started and not stopped."""
    folders, processes = _local(project, settings)
    return [_row(folders, processes, name) for name in sorted(processes.names(), key=_stop_order, reverse=True)]


def bootstrap(project: Path, settings: Settings) -> str:
    """The address of Kafka: of the settings, else of the local stack. Raises `StackError` where neither is."""
    stack = recorded(Folders(run_folder(project, settings)))
    if settings.kafka.bootstrap is None and stack is None:
        raise StackError(f"Kafka is at kafka.bootstrap or on the local stack; {project} has neither; run 'headrace up'")
    return settings.kafka.bootstrap or (stack.bootstrap if stack else "")


def plans_in_use(project: Path, settings: Settings) -> list[Plan]:
    """The plans of the stack that is up, without importing Feast; none where there is no such stack."""
    folders = Folders(run_folder(project, settings))
    stack = recorded(folders)
    files = [folders.plan(service) for service in (stack.services if stack else ())]
    return [read_plan(file) for file in files if file.is_file()]


def read_plan(file: Path) -> Plan:
    """The compiled plan in a file; raises `StackError` where it is none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Plan)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StackError(
            f"a compiled plan is a file as 'headrace up' writes it; {file} gave: {error}; run 'headrace down', then 'headrace up'"
        ) from None


def recorded(folders: Folders) -> Stack | None:
    """The stack that was started last and not stopped."""
    try:
        return msgspec.json.decode(folders.stack.read_bytes(), type=Stack)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _names(stack: Stack, services: Iterable[str], settings: Settings) -> list[str]:
    """The processes of ``services``, in the order in which they start."""
    kafka = [] if settings.kafka.bootstrap else [KAFKA]
    streams = dict.fromkeys(_stream(stack.job_of(service) or (service,)) for service in services)
    return [*kafka, *streams, *(f"scorer-{service}" for service in services)]


def _local(project: Path, settings: Settings) -> tuple[Folders, Processes]:
    folder = run_folder(project, settings)
    return Folders(folder), Processes(folder)


def _stream(job: Sequence[str]) -> str:
    """The process of the stream job of these services."""
    return f"stream-{job[0]}"


def _with_their_jobs(wanted: Sequence[str], dead: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The services wanted, and those that shared a job with one of them which has died: its state is of them all."""
    return tuple(dict.fromkeys([*wanted, *(service for job in dead if not set(job).isdisjoint(wanted) for service in job)]))


def _stack(address: str, plans: Mapping[str, Plan], before: Stack | None, dead: Sequence[Sequence[str]]) -> Stack:
    """The stack with ``plans``: a job that runs, or has none of these services, stays; the other services are grouped anew."""
    kept = [job for job in (before.jobs if before else ()) if job not in dead or plans.keys().isdisjoint(job)]
    new = job_plans(plan for plan in plans.values() if not any(plan.service in job for job in kept))
    services = {*plans, *(before.services if before else ())}
    return Stack(address, tuple(sorted(services)), (*kept, *(job.services for job in new)))


def _stop_order(name: str) -> tuple[int, str]:
    """Readers before those who write to them; Kafka last."""
    role = name.partition("-")[0]
    order = ("scorer", "stream", KAFKA)
    return (order.index(role) if role in order else -1, name)


def _forget(processes: Processes, names: Iterable[str]) -> None:
    """Clear away what died and comes back under another name."""
    for name in names:
        processes.stop(name)


def _start_broker(folders: Folders, processes: Processes, on_step: OnStep) -> Broker:
    on_step("checking the jars")
    jars.ensure(on_step)
    broker = Broker(folders.kafka)
    if not processes.running(KAFKA):
        on_step("starting Kafka")
        processes.start(KAFKA, broker.prepare())
    return broker


def _plans(project: Path, services: Sequence[str]) -> dict[str, Plan]:
    from features.definitions.load import load  # imports Feast: seconds

    loaded = load(project)
    return {name: loaded.service(name).plan for name in services or loaded.services}


def _create_topics(settings: Settings, address: str, plans: Iterable[Plan]) -> None:
    client, replication = settings.kafka.client(address), settings.kafka.replication
    names = {topic for p in plans for topic in (p.features_topic, p.predictions_topic, *(s.topic for s in p.sources))}
    topics.create(client, dict.fromkeys(names, settings.kafka.partitions), replication=replication)
    for shared in (DEAD_LETTERS, LATE_ROWS):
        topics.create(client, {shared.name: shared.partitions or settings.kafka.partitions}, shared.config, replication)


def _start(project: Path, settings: Settings, folders: Folders, processes: Processes, stack: Stack, name: str) -> None:
    role, _, service = name.partition("-")
    folders.ready(name).parent.mkdir(parents=True, exist_ok=True)
    folders.ready(name).unlink(missing_ok=True)
    served = stack.job_of(service) if role == "stream" else (service,)
    # -P: a definitions.py's neighbour must not stand in for one of our packages.
    command = [sys.executable, "-P", "-m", "infra.cli", role, *served, "--project", str(project.absolute())]
    command += ["--settings", str(folders.settings)]
    command += [part for one in served for part in ("--plan", str(folders.plan(one)))] if role == "stream" else []
    processes.start(name, command, secrets(settings), cwd=project)


def _works(folders: Folders, processes: Processes, name: str) -> bool:
    return processes.running(name) is not None and (name == KAFKA or folders.ready(name).is_file())


def _wait(folders: Folders, processes: Processes, name: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _works(folders, processes, name):
        ended = processes.running(name) is None
        if ended or time.monotonic() > deadline:
            what = "ended" if ended else f"was not ready within {READY_SECONDS:.0f} s"
            log = processes.logs / f"{name}.log"
            raise StackError(f"{name} {what}; {log} ends: {_last_line(log)}")
        time.sleep(0.1)


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.is_file() else []
    return lines[-1] if lines else "(nothing)"


def _row(folders: Folders, processes: Processes, name: str) -> Row:
    process = processes.running(name)
    log, served = processes.logs / f"{name}.log", _served(folders, name)
    if process is None:
        return Row(name, "died", None, None, None, str(log), served)
    state = "running" if _works(folders, processes, name) else "starting"
    return Row(name, state, process.pid, time.time() - process.created, _address(folders, name), str(log), served)


def _served(folders: Folders, name: str) -> tuple[str, ...]:
    role, _, service = name.partition("-")
    stack = recorded(folders)
    return (stack.job_of(service) if role == "stream" and stack else ()) or ((service,) if service else ())


def _address(folders: Folders, name: str) -> str | None:
    if name == KAFKA:
        stack = recorded(folders)
        return stack.bootstrap if stack else None
    try:
        written = json.loads(folders.ready(name).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return written.get("rest") if isinstance(written, dict) else None


def _write(file: Path, value: msgspec.Struct) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(msgspec.json.encode(value))
    unfinished.replace(file)
