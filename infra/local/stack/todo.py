"""What one call of ``up`` has to do, decided before anything is started or stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from features.errors import StackError
from features.plan import Plan
from infra.local.processes import Processes
from infra.local.stack.definitions import GONE, Definitions
from infra.local.stack.folders import Folders
from infra.local.stack.record import (
    HTTP,
    KAFKA,
    Stack,
    http_names,
    process_names,
    reader_names,
    recorded_plan,
    role_of,
    stream_name,
    surplus,
    works,
)
from infra.local.stack.services import scorer_notes
from infra.local.stack.told import starts_again, told_otherwise
from infra.models import registry_of
from infra.settings import Settings

SHOWN = 3
"""So many differences stand in an error; 'headrace status' shows all."""

REPLACED = "its plan is replaced"
FEWER = "fewer scorers are wanted"
NO_WRITER = "online.write is false"
NO_HTTP = "the settings have no [http]"
NO_MONITOR = "monitor.run is false"
NO_OUTCOMES = "outcomes.run is false, or the service has no label"

SURPLUS = {"scorer": FEWER, HTTP: NO_HTTP, "monitor": NO_MONITOR, "outcomes": NO_OUTCOMES, "online": NO_WRITER}
"""Why a process is one too many, by its role."""

Job = tuple[str, ...]
"""The services of a stream job."""


class Call(NamedTuple):
    """One call of ``up``."""

    project: Path
    settings: Settings
    folders: Folders
    processes: Processes
    now: Definitions
    on_step: Callable[[str], None]
    program: Sequence[str]
    """What runs a stream job or a scorer."""


class Todo(NamedTuple):
    """What there is to do."""

    plans: dict[str, Plan]
    """Of the services that shall run."""
    new: dict[str, Plan]
    """Those of them that get a stream job now."""
    kept: tuple[Job, ...]
    """The jobs that stay as they are."""
    others: dict[str, str]
    """The services that this call leaves alone, as `Stack.definitions` has them."""
    stop: dict[str, str]
    """The processes to stop, and why."""
    over: tuple[Job, ...] = ()
    """Of the jobs that stay, those that a job beside each is to take over from."""
    changed: Mapping[str, list[str]] = MappingProxyType({})
    """The services of these whose plan is another, or gone, and how it differs."""
    gone: tuple[str, ...] = ()
    """The services that end with their job: definitions.py has them no longer."""
    address: str = ""
    """Where Kafka is."""
    again: Mapping[str, str] = MappingProxyType({})
    """The processes to start again since their settings are others, and which."""


def is_current(call: Call, before: Stack, wanted: Sequence[str]) -> bool:
    """Whether all that is wanted runs, and as it would be started now, as far as that is known without importing Feast."""
    if not wanted or call.settings.kafka.bootstrap not in (None, before.bootstrap):
        return False
    if not all(_is_as_recorded(call, before, service) for service in wanted):
        return False
    if surplus(call.processes.names(), wanted, call.settings):
        return False
    names = process_names(before, wanted, call.settings)
    return not _again(call, names) and all(works(call.folders, call.processes, name) for name in names)


def _is_as_recorded(call: Call, before: Stack, service: str) -> bool:
    has_plan = recorded_plan(call.folders, service) is not None
    return has_plan and not call.now.is_new(before.definitions, service) and not _notes(call, before, service)


def todo(
    call: Call, before: Stack | None, wanted: Sequence[str], address: str, *, replace: bool, takes_over: bool = False
) -> Todo:
    """What ``up`` has to do so that ``wanted``, none: all services, run as definitions.py has them.

    ``takes_over``: a job of another plan is started beside the one that runs; ``replace``: in its place. Raises `StackError`
    where what runs needs a new plan and it is neither; `HeadraceError` where a scorer is to start that has no model for its plan.
    """
    if before is None:
        return _from_nothing(call, wanted or call.now.services)._replace(address=address)
    moved = before.bootstrap != address
    dead = tuple(job for job in before.jobs if moved or not _is_known(call, job))
    leaving = before.services if moved or (replace and not wanted) else _gone(call, before) if takes_over else ()
    names = _with_their_jobs((*(wanted or call.now.services), *leaving), dead)
    changed = _changed(call, before, names)
    over, of_over = tuple[Job, ...](), dict[str, list[str]]()
    if changed and not replace:
        over = _taken_over(call, before, changed)
        if not takes_over or not set(over).isdisjoint(dead):
            raise StackError(_refusal(call, before, changed, is_dead=takes_over))
        of_over = {service: lines for service, lines in changed.items() if any(service in job for job in over)}
        changed = {service: lines for service, lines in changed.items() if service not in of_over}
        names = tuple(service for service in names if not any(service in job for job in over))
        now = [call.now.plan(service) for service in of_over if service in call.now.services]
        check_models(call.project, call.settings, now)
    replaced = tuple(job for job in before.jobs if job not in dead and not changed.keys().isdisjoint(job))
    names = _with_their_jobs(names, replaced)
    changed = _changed(call, before, names)
    plans = {service: call.now.plan(service) for service in names if service in call.now.services}
    gone = tuple(service for service, lines in changed.items() if lines == [GONE])
    kept = tuple(job for job in before.jobs if job not in replaced and (job not in dead or set(names).isdisjoint(job)))
    notes = {service: found for service in plans if service not in changed and (found := _notes(call, before, service))}
    again = _again(call, [name for service in plans for name in reader_names(service, call.settings)] + http_names(call.settings))
    scored = dict.fromkeys(service for role, service, _ in map(role_of, again) if role == "scorer")
    new = {service: plan for service, plan in plans.items() if not any(service in job for job in kept)}
    starting = [plans[service] for service in dict.fromkeys((*new, *changed, *notes, *scored)) if service in plans]
    check_models(call.project, call.settings, starting)
    elsewhere = f"Kafka is on {address} now"
    stop = {stream_name(job): elsewhere if moved else "its plan cannot be read" for job in dead if job not in kept}
    stop |= readers(call, dict.fromkeys(before.services if moved else (), elsewhere))
    stop |= readers(call, {service: "; ".join(found) for service, found in notes.items()})
    stop |= {stream_name(job): REPLACED for job in replaced}
    stop |= readers(call, {service: GONE if lines == [GONE] else REPLACED for service, lines in changed.items()})
    for name in surplus(call.processes.names(), plans, call.settings):
        stop[name] = SURPLUS[role_of(name)[0]]
    others = {service: before.definitions.get(service, "") for service in before.services if service not in names}
    return Todo(
        plans,
        new,
        kept,
        others,
        stop,
        over,
        of_over,
        gone,
        address,
        again,
    )


def _again(call: Call, names: Iterable[str]) -> dict[str, str]:
    """Of the processes called ``names``, those to start again since their settings are others, and which."""
    found = told_otherwise(call.processes, call.settings, filter(starts_again, names))
    return {name: "; ".join(lines) for name, lines in found.items()}


def _gone(call: Call, before: Stack) -> tuple[str, ...]:
    """The services that run, and are no longer in definitions.py."""
    return tuple(service for service in before.services if service not in call.now.services)


def _taken_over(call: Call, before: Stack, changed: Mapping[str, Sequence[str]]) -> tuple[Job, ...]:
    """The jobs with a service whose plan is another, unless all of their services are gone."""
    jobs = (job for job in before.jobs if not changed.keys().isdisjoint(job))
    return tuple(job for job in jobs if not set(job).isdisjoint(call.now.services))


def _from_nothing(call: Call, wanted: Iterable[str]) -> Todo:
    """No stack is recorded: what runs nevertheless is stopped, as nobody knows whom it serves."""
    plans = {service: call.now.plan(service) for service in wanted}
    check_models(call.project, call.settings, plans.values())
    stop = {name: "stack.json does not say what it does" for name in call.processes.names() if name != KAFKA}
    return Todo(plans, plans, (), {}, stop)


def _is_known(call: Call, job: Job) -> bool:
    """Whether the job runs, and it is known with which plans."""
    plans = (recorded_plan(call.folders, service) for service in job)
    return call.processes.running(stream_name(job)) is not None and all(plans)


def _with_their_jobs(wanted: Iterable[str], jobs: Iterable[Job]) -> tuple[str, ...]:
    """The services wanted, and those of the ``jobs`` that one of them is in: a job's state is of them all."""
    names = dict.fromkeys(wanted)
    return tuple(dict.fromkeys([*names, *(service for job in jobs if not names.keys().isdisjoint(job) for service in job)]))


def _changed(call: Call, before: Stack, services: Iterable[str]) -> dict[str, list[str]]:
    """Those of the services that were started with another plan, and how it differs."""
    plans = {service: recorded_plan(call.folders, service) for service in services if service in before.services}
    found = {service: call.now.changes(before.definitions, service, plan) for service, plan in plans.items()}
    return {service: lines for service, lines in found.items() if lines}


def _notes(call: Call, before: Stack, service: str) -> tuple[str, ...]:
    return scorer_notes(recorded_plan(call.folders, service), call.now.is_new(before.definitions, service))


def readers(call: Call, why: Mapping[str, str]) -> dict[str, str]:
    """What reads vectors and predictions of these services, and why they are stopped, which ``why`` says by service."""
    found = {name: role_of(name) for name in call.processes.names()}
    roles = {"scorer", "online", "monitor", "outcomes"}
    return {name: why[service] for name, (role, service, _) in found.items() if role in roles and service in why}


def _refusal(call: Call, before: Stack, changed: Mapping[str, Sequence[str]], *, is_dead: bool) -> str:
    """Which services run another plan, and what to do; ``is_dead``: one of the jobs has ended, so none can take over from it."""
    parts = []
    for service, lines in changed.items():
        more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        plan = recorded_plan(call.folders, service)
        parts.append(f"{service} runs plan {plan.short_digest if plan else '?'}: {'; '.join(lines[:SHOWN])}{more}")
    beside = _with_their_jobs(changed, before.jobs)[len(changed) :]
    shared = f", and {', '.join(beside)}, of the same job" if beside else ""
    first = "its job has ended, so no other can take over from it; " if is_dead else ""
    return (
        f"what runs differs from definitions.py: {' | '.join(parts)}; {first}'headrace up --replace' stops that job and scorer "
        f"and starts the new plan{shared}, from the beginning of its topics; or restore definitions.py"
    )


def check_models(project: Path, settings: Settings, plans: Iterable[Plan]) -> None:
    """Raise `SettingError` for the first that has no model in production that fits: its scorer would end as it starts."""
    from serving.predict.predictor import check_model  # imports ONNX Runtime

    registry = registry_of(project, settings)
    for plan in plans:
        placed = registry.deployed(plan.service).must_have_production()
        check_model(registry.get(placed.model, placed.version).manifest, plan)
