"""The plan of one stream job: services with one spine and one mode share it, and with it what they read and what they keep."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property

import msgspec

from features.errors import DefinitionError
from features.plan import Mode, Plan, Source, Stage, WindowFeature


class JobPlan(msgspec.Struct, frozen=True, dict=True):
    """What one stream job computes: the plans of its services, with each source and each stage of theirs once.

    ::

        churn      orders by account, returns by product  ┐   orders by account (the features of churn and of limits)
        limits     orders by account                      ┘   returns by product
    """

    plans: tuple[Plan, ...]
    """One or more, in the order of their services' names."""
    sources: tuple[Source, ...]
    windows: tuple[Stage, ...]
    """The stages, in their order: those that more services use come first, and those over the spine before others, so that a
    service waits for as little as a chain allows of what it does not use."""

    @cached_property
    def digest(self) -> str:
        """sha256 of the job's plan: equal digests mean equal state."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    @property
    def short_digest(self) -> str:
        """What names the folder of the job's state."""
        return self.digest[:12]

    @property
    def name(self) -> str:
        """The first of its services: a service is in one job."""
        return self.plans[0].service

    @property
    def services(self) -> tuple[str, ...]:
        """The services whose vectors the job writes."""
        return tuple(plan.service for plan in self.plans)

    @property
    def mode(self) -> Mode:
        """The mode that the services share."""
        return self.plans[0].mode

    @property
    def spine(self) -> str:
        """The source whose every event is a query of each service."""
        return self.plans[0].spine

    @property
    def spine_source(self) -> Source:
        """The spine as a source."""
        return self.source(self.spine)

    @property
    def lateness_ms(self) -> int:
        """How long beyond the longest window rows are kept: the greatest that a service allows."""
        return max(plan.lateness_ms for plan in self.plans)

    def source(self, name: str) -> Source:
        """The source called ``name``."""
        return next(s for s in self.sources if s.name == name)

    def stages_of(self, plan: Plan) -> tuple[int, ...]:
        """The places in ``windows`` of the stages that ``plan`` uses, in order."""
        used = {stage.name for stage in plan.windows}
        return tuple(place for place, stage in enumerate(self.windows) if stage.name in used)


def job_plan(plans: Iterable[Plan]) -> JobPlan:
    """The one job of ``plans``. Raises `DefinitionError` where their spines, modes or definitions differ."""
    ordered = tuple(sorted(plans, key=lambda plan: plan.service))
    runs = {f"{plan.spine} in mode {plan.mode}" for plan in ordered}
    if len(runs) != 1:
        services, came = ", ".join(plan.service for plan in ordered), " and ".join(sorted(runs)) or "no service"
        raise DefinitionError(f"the services of one job ({services}) have one spine and one mode; got {came}; run a job for each")
    sources: dict[str, Source] = {}
    for source in (source for plan in ordered for source in plan.sources):
        if sources.setdefault(source.name, source) != source:
            raise DefinitionError(f"source '{source.name}' is one in all services of a job; got two; compile the plans anew")
    return JobPlan(ordered, tuple(sources.values()), _shared(ordered))


def job_plans(plans: Iterable[Plan]) -> tuple[JobPlan, ...]:
    """A job for each spine and mode, in the order of their names."""
    jobs: dict[tuple[str, Mode], list[Plan]] = {}
    for plan in plans:
        jobs.setdefault((plan.spine, plan.mode), []).append(plan)
    return tuple(sorted(map(job_plan, jobs.values()), key=lambda job: job.name))


def _shared(plans: Sequence[Plan]) -> tuple[Stage, ...]:
    stages: dict[str, list[Stage]] = {}
    for stage in (stage for plan in plans for stage in plan.windows):
        stages.setdefault(stage.name, []).append(stage)
    ordered = sorted(stages.values(), key=lambda users: (-len(users), users[0].source != plans[0].spine))
    return tuple(_united(users) for users in ordered)


def _united(stages: Sequence[Stage]) -> Stage:
    """One stage with the features of all, each once."""
    features: dict[str, WindowFeature] = {}
    for feature in (feature for stage in stages for feature in stage.features):
        if features.setdefault(feature.name, feature) != feature:
            raise DefinitionError(f"feature '{feature.name}' is one in all services of a job; got two; compile the plans anew")
    return msgspec.structs.replace(stages[0], features=tuple(features.values()))
