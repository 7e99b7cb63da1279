"""``headrace train``: how models come about."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import SettingError
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible
from infra.cli.batch_rows import warn_of_batch_rows
from infra.cli.models import show_version
from infra.cli.options import ServiceArgument, day, train_config

if TYPE_CHECKING:
    from pathlib import Path

    from features.service import Service
    from infra.settings import Settings
    from jobs.training.split import Split
    from schemas.deployment import Placed
    from serving.models.registry import Registry


@app.command(epilog="Example: headrace train SERVICE --from 2026-01-01 --promote production")
def train(
    service: ServiceArgument,
    start: Annotated[str, typer.Option("--from", help="First day of training.", metavar="DATE", show_default=False)],
    days: Annotated[int, typer.Option(help="Days of training.", min=1)] = 7,
    delay: Annotated[int, typer.Option(help="Days until labels are known.", min=0)] = 7,
    test_days: Annotated[int, typer.Option(help="Days of the test, after the delay.", min=1)] = 7,
    trainer: Annotated[
        str | None, typer.Option(help="What makes the model: xgboost, say; docs/training.md has all.", show_default=False)
    ] = None,
    trees: Annotated[int | None, typer.Option(help="How many trees the model has.", show_default=False)] = None,
    depth: Annotated[
        int | None, typer.Option(help="How many branches a tree has at most, root to leaf.", show_default=False)
    ] = None,
    leaves: Annotated[int | None, typer.Option(help="How many leaves a tree has at most.", show_default=False)] = None,
    layers: Annotated[int | None, typer.Option(help="How many hidden layers a network has.", show_default=False)] = None,
    width: Annotated[
        int | None, typer.Option(help="How many neurons, or filters, a layer of a network has.", show_default=False)
    ] = None,
    kernel: Annotated[int | None, typer.Option(help="How many neighbours a filter takes.", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option(help="How often a network sees all rows, at most.", show_default=False)] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="How much of each new tree is added to those before it; of a network the first steps' size.",
            show_default=False,
        ),
    ] = None,
    regularization: Annotated[
        float | None, typer.Option(help="How strongly a linear model is held to small weights.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="What random choices start from.", show_default=False)] = None,
    promote: Annotated[
        str | None, typer.Option(help="Give the new version this alias.", metavar="ALIAS", show_default=False)
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Train a model, test it on later days, and register it.

    What it learns, and the parameters that no option gives, are in [train.SERVICE] of headrace.toml.
    """
    from infra.cli import show
    from infra.config import with_settings
    from infra.models import registering, registry_of
    from infra.settings import load_settings
    from jobs.training.trainers import chosen
    from serving.models.lifecycle import PRODUCTION, check_alias

    where, split = folder(project), split_of(start, days, delay, test_days)
    train_config(load_settings(where), service)
    options = {
        "trainer": trainer,
        "trees": trees,
        "depth": depth,
        "leaves": leaves,
        "layers": layers,
        "width": width,
        "kernel": kernel,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "regularization": regularization,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    settings = load_settings(where, train={service: given})
    config = settings.train[service].config
    chosen(config)
    if promote:
        check_alias(promote)
    registry = registry_of(where, settings)
    before = registry.versions(service)
    with interruptible(lambda: _registered(registry, service, before)), show.progress() as on_progress:
        from features.definitions.load import load  # slow, as is training itself: after all that is quickly refused
        from jobs.training.train import train as run

        of = with_settings(load(where).service(service), settings)
        if promote == PRODUCTION:
            _refuse_beside_production(registry, of)
        result = run(
            of,
            config,
            split,
            register=registering(registry),
            on_progress=on_progress,
        )
        if promote:
            _put_in_service(where, settings, registry, of, result.manifest.placed, promote)
    show_version(registry, result.manifest, as_json)
    if not (promote or as_json):
        show.out.print(f"\nNext: {_next_step(result.manifest.placed, _held_against(registry, of))}")
    warn_of_batch_rows(result.batch, service)


def _next_step(placed: Placed, production: Placed | None) -> str:
    """What puts a version in service that nobody has promoted yet."""
    command = f"headrace models promote {placed.model} {placed.version}"
    return f"'{command} staging' tries it beside {production}" if production else f"'{command}' puts it in production"


def _put_in_service(where: Path, settings: Settings, registry: Registry, of: Service, placed: Placed, alias: str) -> None:
    """Give a version its alias. Raises `SettingError` where another one came to production while this one was trained."""
    from infra.deploy import deploy
    from serving.models.lifecycle import PRODUCTION, Change
    from serving.models.log import user

    change = Change(action="alias", model=placed.model, version=placed.version, who=user(), alias=alias)
    if alias == PRODUCTION:
        production = _held_against(registry, of)
        if production is not None:
            raise SettingError(
                f"a version is tried on live traffic before it replaces one in production; {production} came to production while "
                f"{placed} was trained, which is registered; 'headrace models promote {placed.model} {placed.version} staging' "
                "tries it"
            )
        change = Change(action="promote", model=placed.model, version=placed.version, who=user())
    deploy(where, settings, registry, of.name, change)


def _refuse_beside_production(registry: Registry, service: Service) -> None:
    """Raises `SettingError` where a version that scores the same vectors is in production: another one passes the gate first."""
    production = _held_against(registry, service)
    if production is None:
        return
    raise SettingError(
        f"a version is tried on live traffic before it replaces one in production, which is {production}; got --promote "
        "production; write --promote staging, and then 'headrace models promote'"
    )


def _held_against(registry: Registry, service: Service) -> Placed | None:
    """The version in production that a new one can be held against; None: there is none, or it is of another plan."""
    production = registry.deployed(service.name).production
    if production is None or registry.manifest(production.model, production.version).plan != service.plan.digest:
        return None
    return production


def _registered(registry: Registry, name: str, before: tuple[int, ...]) -> str:
    """What an interrupted training has left in the registry: nothing, or a version without its alias."""
    new = sorted(set(registry.versions(name)) - set(before))
    versions = ", ".join(f"{name} v{version}" for version in new)
    return f"{versions} is registered; give it an alias with 'headrace models promote'" if new else "no model was registered"


def split_of(start: str, days: int, delay: int, test_days: int) -> Split:
    """The days of training and test. Raises `SettingError` where ``start`` is no day, or the last lies beyond the calendar."""
    from jobs.training.split import Split

    split = Split(day(start), days, delay, test_days)
    try:
        split.train_from + timedelta(days=days + delay + test_days)
    except OverflowError:
        raise SettingError(f"days lie before the year 10000; got {days + delay + test_days} from {start}; take fewer") from None
    return split
