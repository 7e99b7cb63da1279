"""``up``: start what does not run, and start again what runs otherwise than it would now, as far as nothing is lost by that."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from features.changes import changes
from features.disk import keep
from features.errors import SettingError, StackError
from features.job import JobPlan, job_plan, job_plans
from features.plan import Plan
from infra.local import jars, topics
from infra.local.broker import Broker
from infra.local.files import fresh, writing
from infra.local.processes import Processes
from infra.local.stack.definitions import Definitions
from infra.local.stack.environments import aliases_of, make_topic
from infra.local.stack.folders import Folders
from infra.local.stack.owner import moved_from, recorded_owner, refuse_others, take
from infra.local.stack.ports import check_ports
from infra.local.stack.record import (
    HTTP,
    KAFKA,
    Stack,
    process_names,
    recorded,
    recorded_plan,
    role_of,
    served_by,
    stop_order,
    works,
)
from infra.local.stack.todo import Call, Todo, is_current, todo
from infra.local.stack.told import told
from infra.local.stack.turns import serve_alone
from infra.settings import Settings, run_folder, secrets, write_settings
from schemas.topics import ALARMS, DEAD_LETTERS, DEPLOYMENTS, LATE_ROWS, predictions

READY_SECONDS = 120.0
PROGRAM = (sys.executable, "-P", "-m", "infra.cli")
"""What runs a stream job or a scorer. -P: a definitions.py's neighbour must not stand in for one of our packages."""

OnStep = Callable[[str], None]


class TakeOver(Protocol):
    """Puts new plans in the place of those that run."""

    names_history: bool
    """Whether the user says anything of it, for `check` to look at."""

    def settle(self, call: Call, before: Stack | None, *, replace: bool) -> Stack | None:
        """Bring to an end what an earlier call left; gives what runs then. ``replace``: nothing is taken over by this call."""

    def check(self, call: Call, work: Todo) -> None:
        """Raise `SettingError` where what the user says of it does not fit what there is to do: before anything starts."""

    def prepare(self, call: Call, work: Todo) -> None:
        """Called before the jobs of services are started that did not run."""

    def __call__(self, call: Call, stack: Stack, work: Todo) -> Stack:
        """Do what ``work.over`` says; gives the stack as it is then."""


def up(
    project: Path,
    settings: Settings,
    services: Sequence[str] = (),
    on_step: OnStep = lambda step: None,
    *,
    replace: bool = False,
    take_over: TakeOver | None = None,
    program: Sequence[str] = PROGRAM,
) -> Stack:
    """Start what does not run yet of Kafka, the topics and the services, and wait until all do their work.

    ``services``: those of the settings where none is named, and all of definitions.py where they name none either. Services of
    one spine and one mode share a stream job; one that runs is left as it is, and what comes later has a job of its own. A scorer
    whose functions' code may be another is started again; which models it serves it follows by itself.

    Where a service runs another plan than definitions.py has now, ``replace`` says to stop its job and scorer and to start anew;
    else ``take_over`` is called with the stack as it runs. Raises `StackError` where it is neither; and, with the last line of
    its log, for a process that ends or isn't ready within two minutes. A fault of the project's is raised before anything is
    started or stopped.

    What reads other settings now than when it started is started again, a stream job, a job of outcomes and the broker excepted:
    `told_otherwise` says so of these.
    """
    folders = Folders(run_folder(project, settings))
    call = Call(project, settings, folders, Processes(folders.run), Definitions(project), on_step, program)
    refuse_others(project, folders)
    wanted = tuple(services or settings.services)
    if not folders.run.is_dir():  # a misspelt name leaves no folder behind
        _compile(call, wanted)
    with writing(folders.run), call.processes.lock():
        return _up(call, wanted, replace, take_over)


def begin_kafka(project: Path, settings: Settings, on_step: OnStep = lambda step: None) -> None:
    """Start the local Kafka where it does not run, and return at once: `up` waits for it, and other work fills its seconds.

    Raises `StackError` as `up` does.
    """
    folders = Folders(run_folder(project, settings))
    call = Call(project, settings, folders, Processes(folders.run), Definitions(project), on_step, PROGRAM)
    refuse_others(project, folders)
    with writing(folders.run), call.processes.lock():
        _refuse_moved(call)
        broker, _ = _kafka(call, recorded(folders))
        if broker:
            jars.ensure(on_step)
            take(project, folders)
            _launch(call, broker)


def kafka(call: Call, before: Stack | None) -> str:
    """Where Kafka is; the local one is started where it does not run."""
    broker, address = _kafka(call, before)
    if broker and not call.processes.running(KAFKA):
        jars.ensure(call.on_step)
        _start_broker(call, broker)
    return address


def look(
    project: Path, settings: Settings, services: Sequence[str], on_step: OnStep, *, replace: bool = False
) -> tuple[Call, Todo]:
    """What `up` would do now, where it may take over. Nothing is started, stopped or written."""
    folders = Folders(run_folder(project, settings))
    call = Call(project, settings, folders, Processes(folders.run), Definitions(project), on_step, PROGRAM)
    refuse_others(project, folders)
    wanted, before = tuple(services or settings.services), recorded(folders)
    _compile(call, wanted)
    _, address = _kafka(call, before)
    work = todo(call, before, wanted, address, replace=replace, takes_over=True)
    check_ports(_stack(call, address, work), settings)
    return call, work


def _up(call: Call, wanted: Sequence[str], replace: bool, take_over: TakeOver | None) -> Stack:
    folders, processes, settings = call.folders, call.processes, call.settings
    _refuse_moved(call)
    before = recorded(folders)
    if take_over:
        before = take_over.settle(call, before, replace=replace)
    names_history = take_over is not None and take_over.names_history
    if before and recorded_owner(folders) and not names_history and is_current(call, before, wanted):
        for service in wanted:  # a shadow that was named since has no topic yet
            for alias in aliases_of(call.project, settings, service):
                make_topic(call.project, settings, service, alias, before.bootstrap)
        write_settings(settings, folders.settings)  # a retrain that a monitor begins reads them
        return before
    _compile(call, wanted)
    broker, address = _kafka(call, before)
    work = todo(call, before, wanted, address, replace=replace, takes_over=take_over is not None)
    if take_over:
        take_over.check(call, work)
    stack = _stack(call, address, work)
    check_ports(stack, settings)
    if broker:
        call.on_step("checking the jars")
        jars.ensure(call.on_step)
    _stop(call, work)
    if broker:
        _start_broker(call, broker)
    take(call.project, folders)
    for plan in work.new.values():
        _say_new(call, before, plan)
        keep(folders.plan(plan.service), plan)
        serve_alone(folders.turns, plan)
    keep(folders.stack, stack)
    call.on_step("creating topics")
    create_topics(call, stack.bootstrap, work.plans.values())
    write_settings(settings, folders.settings)
    if take_over and not replace:
        take_over.prepare(call, work)
    names = [name for name in process_names(stack, work.plans, settings) if name != KAFKA]
    if (work.new or work.stop) and HTTP in names:  # it serves what it was started with
        processes.stop(HTTP)
    for name in names:
        if not processes.running(name):
            start(call, name, served_by(stack, name))
    for name in names:
        call.on_step(f"waiting for {name}")
        wait(call, name, _job(folders, stack, name))
    for name in names:  # one that was ready may have ended since: a stream job that cannot read its checkpoint
        wait(call, name, _job(folders, stack, name))
    if not (take_over and work.over):
        return stack
    stack = take_over(call, stack, work)
    if HTTP in names:  # it was started again, for the new plans
        wait(call, HTTP, None)
    return stack


def _job(folders: Folders, stack: Stack, name: str) -> JobPlan | None:
    """The job that a process runs, as it was started; none of a process of another role."""
    if role_of(name)[0] != "stream":
        return None
    plans = [recorded_plan(folders, service) for service in served_by(stack, name)]
    return job_plan(plan for plan in plans if plan) if all(plans) else None


def _compile(call: Call, wanted: Sequence[str]) -> None:
    """Raise `DefinitionError` for a definition that breaks a rule, and for a service that there is not."""
    if not call.now.is_compiled:
        call.on_step("reading definitions.py")
    unknown = [service for service in call.settings.services if service not in call.now.services]
    if unknown and wanted == call.settings.services:
        raise SettingError(
            f"the setting 'services' names those of definitions.py: {', '.join(call.now.services)}; got {', '.join(unknown)}; "
            "change one of the two"
        )
    for service in wanted or call.now.services:
        call.now.plan(service)


def _refuse_moved(call: Call) -> None:
    """Raise `StackError` where the folder was renamed under what runs, or what was kept names it by its old name."""
    old = moved_from(call.folders, call.project)
    if old is None:
        return
    if any(map(call.processes.running, call.processes.names())):
        raise StackError(f"the stack runs in {old}, as this folder was called; run 'headrace down', then 'headrace up'")
    if next(call.folders.checkpoints.glob("*/*/rocksdb/*/chk-*"), None):
        raise StackError(
            f"checkpoints of RocksDB name their files by the folder that they were made in; got them from {old}; rename this one "
            "back, or start afresh after 'headrace down --wipe'"
        )


def _kafka(call: Call, before: Stack | None) -> tuple[Broker | None, str]:
    """The local broker, if Kafka is local, and where Kafka is; its own ports may have been taken since it ended."""
    settings, processes = call.settings, call.processes
    was_local = KAFKA in processes.names()
    broker = None if settings.kafka.bootstrap else Broker(call.folders.kafka, jvm=settings.kafka.jvm_options)
    if broker and not processes.running(KAFKA):
        processes.stop(KAFKA)
        broker = broker.on_free_ports()
    address = broker.bootstrap if broker else str(settings.kafka.bootstrap)
    if before and before.bootstrap != address and not (was_local and broker) and _runs(call, before):
        raise StackError(
            f"a stack stays on one Kafka; it runs on {before.bootstrap}, and the settings say "
            f"{settings.kafka.bootstrap or 'the local one'}; run 'headrace down', then 'headrace up'"
        )
    return broker, address


def _runs(call: Call, stack: Stack) -> bool:
    return any(call.processes.running(name) for name in process_names(stack, stack.services, call.settings))


def _stop(call: Call, work: Todo) -> None:
    why = {**work.again, **work.stop}
    for name in sorted(why, key=stop_order):
        if call.processes.running(name):
            call.on_step(f"stopping {name}: {why[name]}")
        call.processes.stop(name)


def _launch(call: Call, broker: Broker) -> None:
    if not call.processes.running(KAFKA):
        call.on_step("starting Kafka")
        call.processes.start(KAFKA, broker.prepare(), told=told(KAFKA, call.settings))


def _start_broker(call: Call, broker: Broker) -> None:
    _launch(call, broker)
    call.on_step("waiting for Kafka")
    broker.wait(lambda: call.processes.running(KAFKA) is not None)


def _stack(call: Call, address: str, work: Todo) -> Stack:
    """The stack with the plans of ``work``: a job that stays is as it was, the other services are grouped anew."""
    new = job_plans(work.new.values())
    services = {*work.plans, *work.others}
    seen = {**work.others, **dict.fromkeys(work.plans, call.now.sha256)}
    return Stack(address, tuple(sorted(services)), (*work.kept, *(job.services for job in new)), seen)


def _say_new(call: Call, before: Stack | None, plan: Plan) -> None:
    """Where a service that was stopped comes back with another plan, say that its state does not come with it."""
    last = recorded_plan(call.folders, plan.service)
    if last and last != plan and not (before and plan.service in before.services):
        what = ", ".join(changes(last, plan)[:3])
        call.on_step(f"{plan.service} has another plan than when it ran last ({what}): it reads its topics from their beginning")


def create_topics(call: Call, address: str, plans: Iterable[Plan]) -> None:
    """Create the topics of these plans that are missing, and those that all services share."""
    settings = call.settings
    client, replication = settings.kafka.client(address), settings.kafka.replication
    names = {topic for p in plans for topic in (p.features_topic, p.predictions_topic, *(s.topic for s in p.sources))}
    names |= {predictions(p.service, alias).name for p in plans for alias in aliases_of(call.project, settings, p.service)}
    topics.create(client, dict.fromkeys(names, settings.kafka.partitions), replication=replication)
    for shared in (DEAD_LETTERS, LATE_ROWS, DEPLOYMENTS, *([ALARMS] if settings.monitor.run else [])):
        topics.create(client, {shared.name: shared.partitions or settings.kafka.partitions}, shared.config, replication)


def start(call: Call, name: str, served: Sequence[str], beside: str = "") -> None:
    """Start a process for the services that are ``served``; where it is beside another, ``beside`` is in its name."""
    folders = call.folders
    role, _, instance = role_of(name)
    fresh(folders.ready(name))
    program = "serve" if role == HTTP else role
    command = [*call.program, program, *served, "--project", str(call.project.absolute()), "--settings", str(folders.settings)]
    command += [part for one in served for part in ("--plan", str(folders.plan(one, beside)))] if role == "stream" else []
    command += ["--stream"] if role == "outcomes" else []
    command += [] if instance is None else ["--instance", str(instance)]
    command += ["--ready", name] if beside else []
    call.processes.start(name, command, secrets(call.settings), call.project, told(name, call.settings))


def wait(call: Call, name: str, job: JobPlan | None) -> None:
    """Return when the process does its work; a ``job`` that is being backfilled may take as long as that takes."""
    deadline = time.monotonic() + READY_SECONDS
    while not works(call.folders, call.processes, name):
        if job and next(call.folders.histories(job), None):
            deadline = time.monotonic() + READY_SECONDS
        must_run(call, name)
        if time.monotonic() > deadline:
            raise StackError(_fault(call, name, f"was not ready within {READY_SECONDS:.0f} s"))
        time.sleep(0.1)


def must_run(call: Call, name: str) -> None:
    """Raise `StackError` with the last line of its log where the process has ended."""
    if call.processes.running(name) is None:
        raise StackError(_fault(call, name, "ended"))


def _fault(call: Call, name: str, what: str) -> str:
    log = call.processes.logs / f"{name}.log"
    return f"{name} {what}; {log} ends: {_last_line(log)}"


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.is_file() else []
    return lines[-1] if lines else "(nothing)"
