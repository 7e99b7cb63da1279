"""Whether a version may go to production, by live traffic: what the gate is given from Kafka, the registry and the labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from infra.config import with_settings
from infra.kafka.reach import connected
from infra.local import stack
from schemas.deployment import Placed
from schemas.topics import predictions
from serving.models.gate import Check, Difference, GateConfig, Keys, Metric, Numbers, Traffic, judge

if TYPE_CHECKING:
    from features.inputs.signature import Task
    from infra.settings import Settings
    from serving.kafka.traffic import Pair
    from serving.models.registry import Registry
    from serving.models.reports import Serving

MOST = 200_000
"""Predictions that are read of each version, at most: the newest."""


class Judged(NamedTuple):
    """What the gate says."""

    checks: Sequence[Check]
    note: str
    """What was compared, or why nothing was."""

    @property
    def passed(self) -> bool:
        """Whether no check falls short."""
        return all(check.passed for check in self.checks)


def judged(project: Path, settings: Settings, registry: Registry, candidate: Placed) -> Judged:
    """The gate's checks of ``candidate`` against the version that is in production.

    Raises `StackError` where Kafka cannot be reached.
    """
    manifest = registry.manifest(candidate.model, candidate.version)
    deployed, service = registry.deployed(manifest.service), manifest.service
    production = deployed.production
    if production is None:
        note = f"{service} has no version in production yet: there is nothing to compare with"
        return Judged((_plan(project, settings, service, manifest.plan),), note)
    if registry.manifest(production.model, production.version).plan != manifest.plan:
        note = f"{production} is of another plan, and cannot score what {candidate} does: there is nothing to compare"
        return Judged((_plan(project, settings, service, manifest.plan),), note)
    shadows = [alias for alias, placed in deployed.aliases.items() if placed == candidate]
    config = msgspec.convert(settings.gate, GateConfig, from_attributes=True)
    if not shadows:
        nothing = _traffic([], np.empty(0), ())
        note = (
            f"{candidate} is in no shadow: 'headrace models promote {candidate.model} {candidate.version} staging' tries it first"
        )
        return Judged(judge(nothing, config, None), note)
    found = _pairs(project, settings, service, production, candidate, shadows[0])
    known, metric = _labels(project, settings, service, found)
    reports = [one for report in registry.reports(service) for one in report.serving]
    said = [one for one in reports if (one.alias, one.placed) == (shadows[0], candidate)]
    window = settings.gate.window_minutes
    note = f"{candidate} in {shadows[0]} beside {production} in production, the last {window} minutes"
    return Judged(judge(_traffic(found, known, said), config, metric), note)


def _plan(project: Path, settings: Settings, service: str, plan: str) -> Check:
    """Whether a version is of the plan that the project has: no scorer of it would load another."""
    from features.definitions.load import load  # slow

    wanted = with_settings(load(project).service(service), settings).plan.digest
    return Check("plan", plan[:12], f"that of definitions.py, {wanted[:12]}", plan == wanted)


def _pairs(project: Path, settings: Settings, service: str, production: Placed, candidate: Placed, alias: str) -> list[Pair]:
    from schemas.kafka.consumer import KafkaConsumer
    from serving.kafka.traffic import Version, pairs

    one = Version(predictions(service).name, production.model, production.version)
    other = Version(predictions(service, alias).name, candidate.model, candidate.version)
    client = settings.kafka.client(stack.bootstrap(project, settings))
    since = int((time.time() - settings.gate.window_minutes * 60) * 1000)
    reader = {"isolation_level": settings.kafka.isolation_level, "enable_auto_commit": False, **client}
    with connected(client), closing(KafkaConsumer(**reader)) as consumer:
        return pairs(consumer, one, other, since_ms=since, most=MOST)


def _labels(project: Path, settings: Settings, service: str, found: Sequence[Pair]) -> tuple[Numbers, Metric | None]:
    """The labels of the events, NaN where none is known, and the metric of the service's task."""
    if not found or service not in settings.train or find_spec("sklearn") is None:
        return np.full(len(found), np.nan), None
    import pandas as pd

    from features.definitions.load import load  # slow
    from jobs.training.labels import labels_known, labels_of
    from jobs.training.metrics import main_metric

    train = settings.train[service]
    main = main_metric(train.task)
    metric = Metric(main.name, partial(difference, train.task), main.higher_is_better)
    table = labels_of(with_settings(load(project).service(service), settings), train.label, train.task)
    return labels_known(pd.Series([pair.event_id for pair in found]), table), metric


def difference(task: Task, labels: Numbers, production: Numbers, candidate: Numbers, keys: Keys) -> Difference:
    """The difference of the task's metric, with the bootstrap of a retrain: one draw of whole entities for both versions.

    Events of one entity are no independent evidence. Days are not drawn as well: the gate looks at minutes.
    """
    from jobs.training.bootstrap import bootstrap, paired
    from jobs.training.weighted import weighted_main

    one, other = (weighted_main(task, labels, scores) for scores in (production, candidate))
    apart = bootstrap(paired(one, other), [keys])[2]
    return Difference(apart.value, apart.low, apart.high)


def _traffic(found: Sequence[Pair], labels: Numbers, said: Sequence[Serving]) -> Traffic:
    """``said`` is what scorers report of the candidate: events without a score are on no topic."""
    scores = np.array([pair.scores for pair in found], np.float64).reshape(-1, 2)
    latencies = np.array([pair.latencies for pair in found], np.float64).reshape(-1, 2)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(pair.key for pair in found))}
    keys = np.array([numbers[pair.key] for pair in found], np.int64)
    errors, scored = sum(one.errors for one in said), sum(one.events for one in said)
    return Traffic(scores[:, 0], scores[:, 1], latencies[:, 0], latencies[:, 1], labels, keys, errors, scored)
