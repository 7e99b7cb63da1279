"""What a stack leaves behind of itself for later commands: stack.json, the plans, and what processes say once they are ready."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from features.errors import StackError
from features.plan import Plan
from infra.local.files import read_json
from infra.local.processes import Processes
from infra.local.stack.folders import Folders
from infra.local.stack.owner import other_owner, refuse_others
from infra.settings import Settings, run_folder

KAFKA, HTTP = "kafka", "http"
AT = "@"
"""Before a scorer's number; no service has it in its name, which names topics."""


BESIDE = "~"
"""Before the digest of a job that runs beside another, in the names of its processes."""


class Stack(msgspec.Struct, frozen=True):
    """What stack.json holds."""

    bootstrap: str
    services: tuple[str, ...]
    jobs: tuple[tuple[str, ...], ...] = ()
    """The services of each stream job; the first names it (`features.job.JobPlan`)."""
    definitions: dict[str, str] = {}
    """By service, the sha256 of the definitions.py that was last seen to give what runs."""

    def job_of(self, service: str) -> tuple[str, ...]:
        """The services that share a job with ``service``, and itself; none where it has no job yet."""
        return next((job for job in self.jobs if service in job), ())


class Ready(msgspec.Struct, frozen=True):
    """What a process writes once it does its work: a stream job and the HTTP service their address, a scorer the version that it
    begins with."""

    rest: str | None = None
    version: int | None = None
    metrics: str | None = None


def recorded(folders: Folders) -> Stack | None:
    """The stack that was started last and not stopped; None where stack.json is missing or broken."""
    return read_json(folders.stack, Stack)


def recorded_plan(folders: Folders, service: str) -> Plan | None:
    """The plan that the stream job of ``service`` was started with last; None where its file is missing or broken."""
    return read_json(folders.plan(service), Plan)


def read_plan(file: Path) -> Plan:
    """The compiled plan in a file; raises `StackError` where it is none."""
    plan = read_json(file, Plan)
    if plan is None:
        raise StackError(f"a compiled plan is a file as 'headrace up' writes it; {file} is none; run 'headrace up' again")
    return plan


def ready(folders: Folders, name: str) -> Ready | None:
    """What the process called ``name`` wrote when it was ready; None where it isn't yet."""
    return read_json(folders.ready(name), Ready)


def works(folders: Folders, processes: Processes, name: str) -> bool:
    """Whether the process called ``name`` runs and does its work; of Kafka only that it runs."""
    return processes.running(name) is not None and (name == KAFKA or ready(folders, name) is not None)


def bootstrap(project: Path, settings: Settings) -> str:
    """The address of Kafka: of the settings, else of the local stack. Raises `StackError` where neither is."""
    if settings.kafka.bootstrap:
        return settings.kafka.bootstrap
    folders = Folders(run_folder(project, settings))
    refuse_others(project, folders)
    stack = recorded(folders)
    if stack is None:
        fix = "run 'headrace up'" if (project / "definitions.py").is_file() else "it is no project: give --project DIR"
        raise StackError(f"Kafka is at kafka.bootstrap or on the local stack; {project} has neither; {fix}")
    return stack.bootstrap


def http_address(project: Path, settings: Settings) -> str | None:
    """Where the stack's HTTP service listens; None where none runs."""
    folders = Folders(run_folder(project, settings))
    written = ready(folders, HTTP) if Processes(folders.run).running(HTTP) else None
    return written.rest if written else None


def metrics(project: Path, settings: Settings, service: str) -> dict[str, str | None]:
    """The processes of a service that were started, and where each tells its metrics: None where it tells none, or starts yet."""
    folders = Folders(run_folder(project, settings))
    stack = None if other_owner(project, folders) else recorded(folders)
    if stack is None or service not in stack.services:
        return {}
    processes = Processes(folders.run)
    names = (*scorer_names(service, settings), stream_name(stack.job_of(service) or (service,)), monitor_name(service))
    said = {name: ready(folders, name) for name in names if processes.recorded(name)}
    return {name: one.metrics if one else None for name, one in said.items()}


def plans_in_use(project: Path, settings: Settings) -> list[Plan]:
    """The plans of the stack that is up, without importing Feast; none where there is no such stack."""
    folders = Folders(run_folder(project, settings))
    stack = None if other_owner(project, folders) else recorded(folders)
    plans = (recorded_plan(folders, service) for service in (stack.services if stack else ()))
    return [plan for plan in plans if plan]


def stream_name(job: Sequence[str]) -> str:
    """The process of the stream job of these services."""
    return f"stream-{job[0]}"


def scorer_name(service: str, instance: int | None = None) -> str:
    """The process of a scorer of a service: of the first, or of one that is named by its number."""
    return f"scorer-{service}" + ("" if instance is None else f"{AT}{instance}")


def scorer_names(service: str, settings: Settings) -> list[str]:
    """The processes of the scorers of a service, as the settings say."""
    first, count = settings.scorer.instance, settings.scorer.processes
    return [scorer_name(service), *(scorer_name(service, instance) for instance in range(first + 1, first + count))]


def writer_name(service: str) -> str:
    """The process that writes the online rows of a service."""
    return f"online-{service}"


def monitor_name(service: str) -> str:
    """The process that watches the predictions of a service for drift."""
    return f"monitor-{service}"


def outcomes_name(service: str) -> str:
    """The process of the job that joins the predictions of a service with their labels."""
    return f"outcomes-{service}"


def reader_names(service: str, settings: Settings) -> list[str]:
    """The processes that read the feature vectors and predictions of a service, as the settings say."""
    others = [
        *([writer_name(service)] if settings.online.write else []),
        *([monitor_name(service)] if settings.monitor.run else []),
        *([outcomes_name(service)] if settings.outcomes.run and service in settings.train else []),
    ]
    return [*scorer_names(service, settings), *others]


def http_names(settings: Settings) -> list[str]:
    """The HTTP service, where the settings have its section."""
    return [HTTP] if "http" in settings.model_fields_set else []


def role_of(name: str) -> tuple[str, str, int | None]:
    """Of a process called ``name``: what it does, the service that it is named by, and which of its scorers it is."""
    role, _, rest = name.partition("-")
    service, _, instance = rest.partition(AT)
    return role, service.partition(BESIDE)[0], int(instance) if instance else None


def served_by(stack: Stack | None, name: str) -> tuple[str, ...]:
    """The services that a process is for; none of Kafka."""
    role, service, _ = role_of(name)
    several = {"stream": stack.job_of(service), HTTP: stack.services}.get(role, ()) if stack else ()
    return several or ((service,) if service else ())


def process_names(stack: Stack, services: Iterable[str], settings: Settings) -> list[str]:
    """The processes of ``services``, in the order in which they start."""
    services = tuple(services)
    kafka = [] if settings.kafka.bootstrap else [KAFKA]
    streams = dict.fromkeys(stream_name(stack.job_of(service) or (service,)) for service in services)
    readers = (name for service in services for name in reader_names(service, settings))
    return [*kafka, *streams, *readers, *http_names(settings)]


def surplus(names: Iterable[str], services: Iterable[str], settings: Settings) -> list[str]:
    """Of the processes called ``names``, those that the settings do not have: readers of ``services``, and HTTP."""
    services = tuple(services)
    wanted = {*(name for service in services for name in reader_names(service, settings)), *http_names(settings)}
    of_services = {name(service) for service in services for name in (scorer_name, writer_name, monitor_name, outcomes_name)}
    return [name for name in names if name not in wanted and name.partition(AT)[0] in {*of_services, HTTP}]


def stop_order(name: str) -> tuple[int, str]:
    """Readers before those who write to them; Kafka last."""
    role = role_of(name)[0]
    order = (HTTP, "monitor", "outcomes", "scorer", "online", "stream", KAFKA)
    return (order.index(role) if role in order else -1, name)
