"""One retrain: train on the newest matured days, hold against production, register what is taken, and have the log say so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from features.errors import SettingError
from features.inputs.columns import input_columns
from features.times import DAY_MS, day_of
from infra.config import with_settings
from infra.models import registering
from serving.models.lifecycle import Change
from serving.models.log import user
from serving.models.manifest import read_onnx
from serving.models.session import load_model

if TYPE_CHECKING:
    from features.service import Service
    from infra.settings import Settings
    from jobs.history.compute import Progress
    from jobs.training.config import TrainConfig
    from jobs.training.retrain import Retrained
    from jobs.training.split import Split
    from jobs.training.train import Trained
    from serving.models.manifest import Manifest
    from serving.models.registry import Registry

LINEAGE = "retrain"
"""The key of a manifest's lineage that has the id of the retrain by itself which made it."""


class Wanted(NamedTuple):
    """What a retrain is told: the options of `headrace retrain`, or the keys of ``[train.<service>.retrain]``."""

    days: int
    delay: int
    test_days: int
    until: date | None
    needs: Literal["not-worse", "better"]
    from_served: bool
    receipts: str | None
    warm_start: bool
    dry_run: bool
    histories: Mapping[str, str | Path]
    alias: str
    wait_minutes: float


class Request(NamedTuple):
    """A retrain that is wanted: of which service, in which project, and how."""

    where: Path
    settings: Settings
    registry: Registry
    of: Service
    config: TrainConfig
    wanted: Wanted


class Told(NamedTuple):
    """Who wants it, for the log and the lineage."""

    why: str = "retrain"
    id: str | None = None
    """Of a retrain by itself."""


class Result(NamedTuple):
    """What came of it."""

    split: Split
    before: Manifest | None
    """What was in production."""
    found: Retrained | None
    """Beside production; None where there was none."""
    trained: Trained
    why: str
    """What the decision rests on, as one line for the log."""
    taken: bool
    manifest: Manifest | None
    """The version that was registered; None where it was not taken, or nothing was to be changed."""


def retrained(
    request: Request,
    *,
    told: Told = Told(),  # noqa: B008 - it is never changed
    split: Split | None = None,
    on_progress: Progress | None = None,
) -> Result:
    """Train and compare, on ``split``, by default the newest matured days; register what is taken, and log what is not.

    Raises `SettingError` where there is nothing newer to learn than production has, or the two could not score the same rows.
    """
    from infra.predicted import predicted
    from jobs.training.reference import check_segments
    from jobs.training.retrain import retrain
    from jobs.training.rows import rows_of, rows_served
    from jobs.training.train import learn, registered

    where, settings, registry, of, config, wanted = request
    split = split or newest(of, config, wanted)
    production = registry.deployed(of.name).production
    before = None if production is None else registry.manifest(production.model, production.version)
    check_newer(before, split, of.plan.digest, config)
    check_segments(config.segments, of.plan, input_columns(of.plan, of.plan.inputs))
    start = _start(registry, of, config, before) if wanted.warm_start else None
    if wanted.from_served:
        records = predicted(where, settings, of.name, wanted.receipts)
        rows = rows_served(of, config, split, records, histories=wanted.histories, on_progress=on_progress)
    else:
        rows = rows_of(of, config, split, histories=wanted.histories, on_progress=on_progress)
    if before is None:
        found, trained = None, learn(of, config, split, rows)
    else:
        model = load_model(registry.get(before.name, before.version))
        score = partial(model.score_table, plan=of.plan)
        found = retrain(of, config, split, rows, score, start=start, on_progress=on_progress)
        trained = found.trained
    why = f"{told.why}: {span_text(split)}; {_figures(found, before, trained.metrics)}"
    taken = found is None or found.meets(wanted.needs)
    manifest = None
    if taken and not wanted.dry_run:
        more = {} if told.id is None else {LINEAGE: told.id}
        if start is not None and before is not None:
            more["warm_start"] = str(before.placed)
        manifest = registered(of, config, split, trained, register=registering(registry), more=more)
    elif not taken and not wanted.dry_run and before is not None:
        log_decision(registry, before, "decline", f"{why}; needs {wanted.needs}")
    return Result(split, before, found, trained, why, taken, manifest)


def _start(registry: Registry, of: Service, config: TrainConfig, before: Manifest | None) -> bytes:
    """The ONNX of production, to go on from. Raises `SettingError` where that has no meaning."""
    from jobs.training.warm import check_start

    if before is None:
        raise SettingError(
            f"a warm start goes on from production; {of.name} has no version there; leave --warm-start out for a first one"
        )
    check_start(config, str(before.placed), before.lineage, before.inputs, input_columns(of.plan, of.plan.inputs))
    return read_onnx(registry.get(before.name, before.version))


def newest(of: Service, config: TrainConfig, wanted: Wanted) -> Split:
    """The newest matured days, as they are wanted."""
    from jobs.training.matured import newest_split

    return newest_split(
        of,
        config.label,
        days=wanted.days,
        delay_days=wanted.delay,
        test_days=wanted.test_days,
        until=wanted.until,
        histories=wanted.histories,
    )


def service_of(where: Path, settings: Settings, service: str) -> Service:
    """The service, with what the settings say of its files."""
    from features.definitions.load import load  # slow: after all that is quickly refused

    return with_settings(load(where).service(service), settings)


def log_decision(registry: Registry, production: Manifest, action: Literal["decline", "postpone", "fail"], why: str) -> None:
    """Have the log say what came of a retrain that changes nothing."""
    change = Change(action=action, model=production.name, version=production.version, who=user(), why=why)
    registry.change(production.service, change)


def learnt_until(split: Split) -> int:
    """The time (UTC milliseconds) before which it learns."""
    return (split.first_day + split.days) * DAY_MS


def check_newer(production: Manifest | None, split: Split, plan: str, config: TrainConfig) -> None:
    """Raises `SettingError` where there is nothing newer to learn, or the two could not score the same rows."""
    if production is None:
        return
    if production.plan != plan:
        raise SettingError(
            f"a retrained model is compared with production on the same features; {production.placed} is of another plan; "
            "train with 'headrace train', and let 'headrace up' put the new plan in service"
        )
    if production.task != config.task:
        raise SettingError(
            f"a retrained model is compared with production by one metric; {production.placed} is of a {production.task}, and "
            f"the settings are of a {config.task}; train with 'headrace train'"
        )
    learnt = production.lineage.get("label", config.label)
    if learnt != config.label:
        raise SettingError(
            f"a retrained model is compared with production on what both learnt; {production.placed} learnt {learnt}, and the "
            f"settings say {config.label}; train with 'headrace train'"
        )
    until = learnt_until(split)
    if production.trained_until is not None and production.trained_until >= until:
        raise SettingError(
            f"a retrained model learns from newer days than {production.placed}, which is in production and learnt from days to "
            f"before {day_of(production.trained_until)}; got days to before {day_of(until)}; bring the history "
            "up to date, or wait until more labels are due"
        )


def _figures(found: Retrained | None, production: Manifest | None, metrics: dict[str, float]) -> str:
    """What the decision rests on, as one line for the log."""
    if found is None or production is None:
        name = next(iter(metrics))
        return f"{name.replace('_', ' ')} {metrics[name]:.4f}, nothing in production to compare with"
    apart = found.difference
    return (
        f"{found.metric} {found.candidate.value:.4f}, {production.placed} {found.production.value:.4f}, "
        f"difference {apart.value:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}] on {found.rows:,} rows"
    )


def span_text(split: Split) -> str:
    """Its days, for people."""
    learnt, tested = split.first_day + split.days, split.first_test_day
    last_learnt, first_tested, last_tested = (day_of(number * DAY_MS) for number in (learnt - 1, tested, split.end_day - 1))
    return f"trained on {split.train_from} to {last_learnt}, tested on {first_tested} to {last_tested}"


def compared(found: Retrained | None) -> dict[str, Any] | None:
    """The comparison, for ``--json``."""
    if found is None:
        return None
    fields = ("metric", "higher_is_better", "production", "candidate", "difference", "production_metrics", "rows", "units")
    return {name: getattr(found, name) for name in fields}
