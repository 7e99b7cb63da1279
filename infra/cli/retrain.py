"""``headrace retrain``: a newer model on the newest matured days, held against production before anything changes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from features.errors import SettingError
from features.times import DAY_MS, day_of
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible
from infra.cli.batch_rows import warn_of_batch_rows
from infra.cli.options import HistoryOption, ServiceArgument, day, histories, train_config

if TYPE_CHECKING:
    from infra.gate import Judged
    from infra.settings import Settings
    from jobs.training.retrain import Retrained
    from jobs.training.split import Split
    from schemas.deployment import Placed
    from serving.models.manifest import Manifest
    from serving.models.registry import Registry

LOOK_SECONDS = 10.0
"""Between two looks at what the gate says."""


@app.command(epilog="Example: headrace retrain SERVICE --wait 60")
def retrain(
    service: ServiceArgument,
    days: Annotated[int, typer.Option(help="Days of training.", min=1, max=3650)] = 7,
    delay: Annotated[int, typer.Option(help="Days until labels are known.", min=0, max=3650)] = 7,
    test_days: Annotated[int, typer.Option(help="Days of the test, the newest matured ones.", min=1, max=3650)] = 7,
    until: Annotated[
        str | None, typer.Option(help="Use days before this one; none: the newest.", metavar="DATE", show_default=False)
    ] = None,
    needs: Annotated[
        Literal["not-worse", "better"], typer.Option(help="What the new model has to be, beside production's, on the test days.")
    ] = "not-worse",
    alias: Annotated[str, typer.Option(help="The shadow that it is tried in.")] = "staging",
    wait: Annotated[
        float, typer.Option(help="Wait so many minutes for the gate to let it into production.", min=0, max=100_000)
    ] = 0,
    from_served: Annotated[
        bool, typer.Option("--from-served", help="Learn from the values that were served, by the receipts of the topic.")
    ] = False,
    receipts: Annotated[
        str | None,
        typer.Option(help="With --from-served: a .jsonl of predictions; none: the topic.", metavar="FILE", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Train and compare; change nothing.")] = False,
    history: HistoryOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Train on the newest days whose labels are due, compare with production, and try what is not worse in staging.

    Both score the same test days; the difference of their metric has an interval. What is worse is not registered: nothing is
    changed, and the exit code is 1. From staging it goes to production as with 'headrace models promote': once the gate lets it.
    Without a version in production it goes there at once. Each decision is in 'headrace models log', with its figures.
    """
    from infra.cli.predicted import predicted
    from infra.config import with_settings
    from infra.models import registering, registry_of
    from infra.settings import load_settings
    from jobs.training.trainers import chosen
    from serving.models.lifecycle import PRODUCTION, Change, check_alias
    from serving.models.log import user

    where, others, end = folder(project), histories(history), None if until is None else day(until)
    check_alias(alias)
    if alias == PRODUCTION:
        raise SettingError("a new model is tried in a shadow first; got --alias production; use staging, say")
    settings = load_settings(where)
    config = train_config(settings, service)
    chosen(config)
    if receipts is not None and not from_served:
        raise SettingError("--receipts is for what was served; got it alone; add --from-served")
    registry = registry_of(where, settings)
    production = registry.deployed(service).production
    if wait and production is not None:
        _require_kafka(where, settings)
    from infra.cli import show

    with interruptible(lambda: "nothing was changed"), show.progress() as on_progress:
        from features.definitions.load import load  # slow: after all that is quickly refused
        from jobs.training.matured import newest_split
        from jobs.training.retrain import retrain as run
        from jobs.training.rows import rows_of, rows_served
        from jobs.training.train import learn, registered
        from serving.models.session import load_model

        of = with_settings(load(where).service(service), settings)
        on_progress("looking for the newest labels", 0, 1)
        split = newest_split(of, config.label, days=days, delay_days=delay, test_days=test_days, until=end, histories=others)
        before = None if production is None else registry.manifest(production.model, production.version)
        _check_newer(before, split, of.plan.digest, config.task)
        if from_served:
            records = predicted(where, settings, service, receipts)
            rows = rows_served(of, config, split, records, histories=others, on_progress=on_progress)
        else:
            rows = rows_of(of, config, split, histories=others, on_progress=on_progress)
        if before is None:
            found, trained = None, learn(of, config, split, rows)
        else:
            model = load_model(registry.get(before.name, before.version))
            found = run(of, config, split, rows, lambda table: model.score_table(table, of.plan), on_progress=on_progress)
            trained = found.trained
    why = f"retrain: {_span_text(split)}; {_figures(found, before, trained.metrics)}"
    taken = found is None or found.meets(needs)
    manifest = None
    if taken and not dry_run:
        manifest = registered(of, config, split, trained, register=registering(registry))
    elif not taken and not dry_run and before is not None:
        decline = Change(action="decline", model=before.name, version=before.version, who=user(), why=f"{why}; needs {needs}")
        registry.change(service, decline)
    decision = _decision(taken, dry_run, before)
    told: dict[str, Any] = {"split": split, "taken": taken, "needs": needs, "dry_run": dry_run, "decision": decision}
    promoted = None
    if manifest is not None:
        promoted = _deploy(where, settings, registry, manifest, alias, wait, why, first=before is None)
    if as_json:
        more = {
            "version": manifest and manifest.version,
            "promoted": promoted,
            "metrics": trained.metrics,
            "compared": _compared(found),
        }
        show.json(told | more)
    else:
        _print(found, split, why, decision, trained.metrics)
        if manifest is not None:
            show.out.print(_outcome(manifest, alias, wait, promoted))
    warn_of_batch_rows(trained.batch, service)
    if not taken or (wait and promoted is False):
        raise typer.Exit(1)


def _deploy(
    where: Path, settings: Settings, registry: Registry, manifest: Manifest, alias: str, wait: float, why: str, *, first: bool
) -> bool:
    """Put a version in its shadow, and in production where the gate lets it; gives whether it did.

    A first version has nothing to be held against, and goes to production at once.
    """
    from infra.cli.models_change import made
    from infra.gate import judged
    from serving.models.lifecycle import Change
    from serving.models.log import user

    service, placed = manifest.service, manifest.placed
    change = Change(action="alias", model=manifest.name, version=manifest.version, who=user(), why=why, alias=alias)
    if not first:
        made(where, registry, service, change)
        if not wait:
            return False
    found = judged(where, settings, registry, placed) if first else _awaited(where, settings, registry, placed, wait)
    if not found.passed:
        return False
    checks = ", ".join(f"{check.name} {check.found}" for check in found.checks) or found.note
    promote = Change(action="promote", model=manifest.name, version=manifest.version, who=user(), why=f"{why}; gate: {checks}")
    registry.change(service, promote)
    return True


def _awaited(where: Path, settings: Settings, registry: Registry, placed: Placed, minutes: float) -> Judged:
    """What the gate says once it lets the version pass, or when the time is over."""
    from infra.cli import show
    from infra.gate import judged

    begin, total = time.monotonic(), round(minutes * 60)
    with interruptible(lambda: f"{placed} stays in its shadow"), show.progress() as on_progress:
        while True:
            found, passed = judged(where, settings, registry, placed), round(time.monotonic() - begin)
            on_progress("waiting for the gate, seconds", min(passed, total), total)
            if found.passed or passed >= total:
                return found
            time.sleep(min(LOOK_SECONDS, max(0.0, total - passed)))


def _require_kafka(where: Path, settings: Settings) -> None:
    """Raises `StackError` where the gate could not read what was predicted: before minutes of training."""
    from infra.kafka.reach import connected
    from infra.local import stack

    with connected(settings.kafka.client(stack.bootstrap(where, settings))):
        return


def _check_newer(production: Manifest | None, split: Split, plan: str, task: str) -> None:
    """Raises `SettingError` where there is nothing newer to learn, or the two could not score the same rows."""
    if production is None:
        return
    if production.plan != plan:
        raise SettingError(
            f"a retrained model is compared with production on the same features; {production.placed} is of another plan; "
            "train with 'headrace train', and let 'headrace up' put the new plan in service"
        )
    if production.task != task:
        raise SettingError(
            f"a retrained model is compared with production by one metric; {production.placed} is of a {production.task}, and "
            f"the settings are of a {task}; train with 'headrace train'"
        )
    until = (split.first_day + split.days) * DAY_MS
    if production.trained_until is not None and production.trained_until >= until:
        raise SettingError(
            f"a retrained model learns from newer days than {production.placed}, which is in production and learnt from days to "
            f"before {day_of(production.trained_until)}; got days to before {day_of(until)}; bring the history "
            "up to date, or wait until more labels are due"
        )


def _decision(taken: bool, dry_run: bool, production: Manifest | None) -> str:
    if production is None:
        said = "no version is in production: there is nothing to be worse than"
    else:
        said = f"it is {'taken' if taken else 'not taken'}"
    if dry_run:
        return f"{said}; nothing is changed (--dry-run)"
    return said if taken else f"{said}: nothing is changed, and {production.placed if production else 'production'} stays"


def _outcome(manifest: Manifest, alias: str, wait: float, promoted: bool | None) -> str:
    name = f"{manifest.name} {manifest.version}"
    if promoted:
        return f"{manifest.placed} is in production"
    after = f"; the gate did not let it pass in {wait:g} minutes" if wait else ""
    return f"{manifest.placed} is in {alias}{after}; 'headrace models promote {name}' asks the gate, once both scored live events"


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


def _print(found: Retrained | None, split: Split, why: str, decision: str, metrics: dict[str, float]) -> None:
    from infra.cli import show
    from infra.cli.models import rounded

    show.out.print(show.escape(_span_text(split)))
    if found is not None:
        names = [name for name in metrics if name in found.production_metrics]
        rows = [(name.replace("_", " "), rounded(found.production_metrics[name]), rounded(metrics[name])) for name in names]
        show.table("", ("metric", "production", "retrained"), rows, right=("production", "retrained"))
        apart = found.difference
        show.out.print(
            f"\n{found.metric}: difference {apart.value:+.4f}, 95 % interval {apart.low:+.4f} to {apart.high:+.4f}, "
            f"{found.rows:,} rows, drawn by whole keys and days"
        )
    show.out.print(decision[0].upper() + decision[1:])


def _compared(found: Retrained | None) -> dict[str, Any] | None:
    if found is None:
        return None
    fields = ("metric", "higher_is_better", "production", "candidate", "difference", "production_metrics", "rows")
    return {name: getattr(found, name) for name in fields}


def _span_text(split: Split) -> str:
    learnt, tested = split.first_day + split.days, split.first_test_day
    last_learnt, first_tested, last_tested = (day_of(number * DAY_MS) for number in (learnt - 1, tested, split.end_day - 1))
    return f"trained on {split.train_from} to {last_learnt}, tested on {first_tested} to {last_tested}"
