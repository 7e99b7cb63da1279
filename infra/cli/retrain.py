"""``headrace retrain``: a newer model on the newest matured days, held against production before anything changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from features.errors import SettingError
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible, warn
from infra.cli.batch_rows import warn_of_batch_rows
from infra.cli.options import HistoryOption, ServiceArgument, day, histories, train_config
from infra.cli.services import SettingsOption, settings_of

if TYPE_CHECKING:
    from infra.retraining.once import Request, Result, Wanted
    from infra.retraining.reasons import Look
    from infra.settings import Settings
    from infra.train_settings import When
    from jobs.history.compute import Progress
    from schemas.deployment import Placed
    from serving.models.manifest import Manifest


@app.command(epilog="Example: headrace retrain SERVICE --wait 60")
def retrain(
    service: ServiceArgument,
    when: Annotated[
        list[str] | None,
        typer.Option(
            help="Only if there is this reason: drift, decay or schedule; may be given more than once.",
            metavar="REASON",
            show_default=False,
        ),
    ] = None,
    days: Annotated[int | None, typer.Option(help="Days of training.", min=1, max=3650, show_default="7")] = None,
    delay: Annotated[int | None, typer.Option(help="Days until labels are known.", min=0, max=3650, show_default="7")] = None,
    test_days: Annotated[
        int | None, typer.Option(help="Days of the test, the newest matured ones.", min=1, max=3650, show_default="7")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Use days before this one; none: the newest.", metavar="DATE", show_default=False)
    ] = None,
    needs: Annotated[
        Literal["not-worse", "better"] | None,
        typer.Option(help="What the new model has to be, beside production's, on the test days.", show_default="not-worse"),
    ] = None,
    alias: Annotated[str | None, typer.Option(help="The shadow that it is tried in.", show_default="staging")] = None,
    wait: Annotated[
        float | None,
        typer.Option(help="Wait so many minutes for the gate to let it into production.", min=0, max=100_000, show_default="0"),
    ] = None,
    from_served: Annotated[
        bool | None,
        typer.Option(
            "--from-served", help="Learn from the values that were served, by the receipts of the topic.", show_default=False
        ),
    ] = None,
    receipts: Annotated[
        str | None,
        typer.Option(
            help="With --from-served, or --when decay: a .jsonl of predictions; none: the topic.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    warm_start: Annotated[
        bool | None,
        typer.Option("--warm-start", help="Go on from production's weights: networks (mlp, cnn) can.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Train and compare; change nothing.")] = False,
    history: HistoryOption = None,
    settings: SettingsOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Train on the newest days whose labels are due, compare with production, and try what is not worse in staging.

    Both score the same test days; the difference of their metric has an interval. What is worse is not registered: nothing is
    changed, and the exit code is 1. From staging it goes to production as with 'headrace models promote': once the gate lets it.
    Without a version in production it goes there at once. Each decision is in 'headrace models log', with its figures.
    Defaults are those of [train.SERVICE.retrain]. With --when it looks first whether there is a reason, and whether the
    last such retrain is long enough ago; 'headrace monitor' calls it so by itself.
    """
    from infra.models import registry_of
    from jobs.training.trainers import chosen
    from serving.models.lifecycle import PRODUCTION, check_alias

    where, others, end = folder(project), histories(history), None if until is None else day(until)
    found = settings_of(where, settings)
    config = train_config(found, service)
    section = found.train[service].retrain
    alias = section.alias if alias is None else alias
    wait_minutes = section.wait_minutes if wait is None else wait
    check_alias(alias)
    if alias == PRODUCTION:
        raise SettingError("a new model is tried in a shadow first; got --alias production; use staging, say")
    whens = _whens(when)
    if whens and until is not None:
        raise SettingError("with --when it learns from the newest days; got --until too; leave one of them out")
    chosen(config)
    served = section.from_served if from_served is None else from_served
    if receipts is not None and not served and "decay" not in whens:
        raise SettingError("--receipts is for what was served; got it alone; add --from-served")
    registry = registry_of(where, found)
    production = registry.deployed(service).production
    if wait_minutes and production is not None and not dry_run:
        _require_kafka(where, found)
    from infra.cli import show

    @contextmanager
    def training() -> Iterator[Progress]:
        with interruptible(lambda: "nothing was changed"), show.progress() as on_progress:
            yield on_progress

    @contextmanager
    def waiting(placed: Placed) -> Iterator[Progress]:
        with interruptible(lambda: f"{placed} stays in its shadow"), show.progress() as on_progress:
            yield on_progress

    with training() as on_progress:
        on_progress("reading definitions.py", 0, 1)
        from infra.retraining.once import Request, Wanted, service_of
        from infra.retraining.promotion import retrain_to_production

        wanted = Wanted(
            days or section.days,
            section.delay if delay is None else delay,
            test_days or section.test_days,
            end,
            needs or section.needs,
            served,
            receipts,
            section.warm_start if warm_start is None else warm_start,
            dry_run,
            others,
            alias,
            wait_minutes,
        )
        request = Request(where, found, registry, service_of(where, found, service), config, wanted)
    came = retrain_to_production(request, whens, training, waiting)
    if came.result is None:
        _print_look(came.look, as_json)
        return
    _print(request, came.look, came.result, came.promoted, as_json)
    if not came.result.taken or (wait_minutes and came.promoted is False):
        raise typer.Exit(1)


def _whens(written: list[str] | None) -> tuple[When, ...]:
    from infra.train_settings import When

    known = get_args(When)
    other = next((one for one in written or () if one not in known), None)
    if other is not None:
        raise SettingError(f"--when is {', '.join(known)}; got '{other}'; write one of them, and another --when for each more")
    return tuple(one for one in known if one in (written or ()))


def _print(request: Request, look: Look | None, result: Result, promoted: bool | None, as_json: bool) -> None:
    """Say what came of it."""
    from infra.cli import show
    from infra.retraining.once import compared

    wanted, found, manifest, metrics = request.wanted, result.found, result.manifest, result.trained.metrics
    decision = _decision(result.taken, wanted.dry_run, result.before)
    if as_json:
        told: dict[str, Any] = {"split": result.split, "taken": result.taken, "needs": wanted.needs, "dry_run": wanted.dry_run}
        told |= {"decision": decision, "version": manifest and manifest.version, "promoted": promoted, "metrics": metrics}
        show.json(told | {"compared": compared(found)} | ({} if look is None else {"look": _look_as_json(look)}))
    else:
        if look is not None:
            show.out.print(show.escape(look.text))
        _print_comparison(result)
        show.out.print(decision[0].upper() + decision[1:])
        if manifest is not None:
            show.out.print(_place_text(manifest, wanted, promoted))
    warn_of_batch_rows(result.trained.batch, request.of.name)
    if result.before is not None and result.before.trained_until is None:
        warn(f"nobody said on which days {result.before.placed} was trained; a test that has some of them flatters it")
    _warn_of_few(result)


def _warn_of_few(result: Result) -> None:
    """An interval is of the keys that have the rarer label: of few it is too narrow to rest on."""
    from jobs.training.keys import UNITS

    found = result.found
    if found is not None and found.difference.is_known and found.units < UNITS:
        warn(f"the interval is of {found.units} independent keys or days of the test, and too narrow; take more --test-days")


def _print_look(look: Look | None, as_json: bool) -> None:
    """Say why there is no retrain; None: another one runs."""
    from infra.cli import show

    text = (
        "another retrain by itself is running, or waits for the gate: nothing is done"
        if look is None
        else f"nothing is done: {look.text}"
    )
    if as_json:
        show.json({"decision": text, "look": None if look is None else _look_as_json(look)})
    else:
        show.out.print(show.escape(text))


def _look_as_json(look: Look) -> dict[str, Any]:
    reasons = [{"when": one.when, "due": one.due, "text": one.text} for one in look.reasons]
    return {"due": look.due, "reasons": reasons, "against": look.against or None}


def _require_kafka(where: Path, settings: Settings) -> None:
    """Raises `StackError` where the gate could not read what was predicted: before minutes of training."""
    from infra.kafka.reach import connected
    from infra.local import stack

    with connected(settings.kafka.client(stack.bootstrap(where, settings))):
        return


def _decision(taken: bool, dry_run: bool, production: Manifest | None) -> str:
    if production is None:
        said = "no version is in production: there is nothing to be worse than"
    else:
        said = f"it is {'taken' if taken else 'not taken'}"
    if dry_run:
        return f"{said}; nothing is changed (--dry-run)"
    return said if taken else f"{said}: nothing is changed, and {production.placed if production else 'production'} stays"


def _place_text(manifest: Manifest, wanted: Wanted, promoted: bool | None) -> str:
    name = f"{manifest.name} {manifest.version}"
    if promoted:
        return f"{manifest.placed} is in production"
    wait = wanted.wait_minutes
    after = f"; the gate did not let it pass in {wait:g} minutes" if wait else ""
    there = f"{manifest.placed} is in {wanted.alias}{after}"
    return f"{there}; 'headrace models promote {name}' has the gate judge it, once both scored live events"


def _print_comparison(result: Result) -> None:
    from infra.cli import show
    from infra.cli.models import rounded
    from infra.retraining.once import span_text

    found, metrics = result.found, result.trained.metrics
    show.out.print(show.escape(span_text(result.split)))
    if found is not None:
        names = [name for name in metrics if name in found.production_metrics]
        rows = [(name.replace("_", " "), rounded(found.production_metrics[name]), rounded(metrics[name])) for name in names]
        show.table("", ("metric", "production", "retrained"), rows, right=("production", "retrained"))
        apart = found.difference
        interval = (
            f"95 % interval {apart.low:+.4f} to {apart.high:+.4f}" if apart.is_known else "no interval (too little to draw from)"
        )
        show.out.print(
            f"\n{found.metric}: difference {apart.value:+.4f}, {interval}, {found.rows:,} rows, drawn by whole {found.drawn}"
        )
