"""``headrace train`` and ``headrace models``: how models come about, and which versions are in service."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import SettingError
from features.times import moment_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible
from infra.cli.batch_rows import warn_of_batch_rows
from infra.cli.options import ServiceArgument

if TYPE_CHECKING:
    from jobs.training.split import Split
    from serving.models.manifest import Manifest
    from serving.models.registry import Registry

models_app = typer.Typer(help="Show and promote the models of the registry.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")


@app.command(epilog="Example: headrace train SERVICE --from 2026-01-01 --promote production")
def train(
    service: ServiceArgument,
    start: Annotated[str, typer.Option("--from", help="First day of training.", metavar="DATE", show_default=False)],
    days: Annotated[int, typer.Option(help="Days of training.", min=1)] = 7,
    delay: Annotated[int, typer.Option(help="Days until labels are known.", min=0)] = 7,
    test_days: Annotated[int, typer.Option(help="Days of the test, after the delay.", min=1)] = 7,
    promote: Annotated[
        str | None, typer.Option(help="Give the new version this alias.", metavar="ALIAS", show_default=False)
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Train a model, test it on later days, and register it."""
    import jobs.training  # noqa: F401 - without the extra 'train' this ends here, in one line
    from infra.cli import show
    from infra.config import with_settings
    from infra.models import registering, registry_of
    from infra.settings import load_settings
    from serving.models.lifecycle import check_alias

    where, split = folder(project), _split(start, days, delay, test_days)
    settings = load_settings(where)
    if service not in settings.train:
        raise SettingError(f"training needs a label; headrace.toml has no [train.{service}]; add it, with a label")
    if promote:
        check_alias(promote)
    registry = registry_of(where, settings)
    before = registry.versions(service)
    with interruptible(lambda: _registered(registry, service, before)), show.progress() as on_progress:
        from features.definitions.load import load  # slow, as is training itself: after all that is quickly refused
        from jobs.training.train import train as run

        result = run(
            with_settings(load(where).service(service), settings),
            settings.train[service].config,
            split,
            register=registering(registry),
            on_progress=on_progress,
        )
        if promote:
            registry.set_alias(result.manifest.name, promote, result.manifest.version)
    _show_model(registry, result.manifest, as_json)
    warn_of_batch_rows(result.batch, service)


@models_app.command("list", epilog="Example: headrace models list --project DIR")
def list_models(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List every version of every model, with its aliases."""
    from infra.cli import show

    registry = _registry(project)
    found = [registry.get(name, version).manifest for name in registry.names() for version in registry.versions(name)]
    if as_json:
        show.json([_as_json(registry, manifest) for manifest in found])
    elif not found:
        show.out.print("no model yet; train one with 'headrace train'")
    else:
        rows = [_row(registry, manifest) for manifest in found]
        show.table("", tuple(rows[0]), [tuple(row.values()) for row in rows], right=("version", "auc", "average precision"))


@models_app.command("show", epilog="Example: headrace models show MODEL --version production")
def show_model(
    name: Annotated[str, typer.Argument(help="A model.", show_default=False)],
    version: Annotated[str | None, typer.Option(help="A version or an alias; none: the newest.", show_default=False)] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show one version: its metrics, its inputs, and what it was trained on."""
    registry = _registry(project)
    newest = max(registry.versions(name), default=1)
    _show_model(registry, registry.get(name, version or newest).manifest, as_json)


@models_app.command(epilog="Example: headrace models promote MODEL 2 production")
def promote(
    name: Annotated[str, typer.Argument(help="A model.", show_default=False)],
    version: Annotated[int, typer.Argument(help="The version.", show_default=False)],
    alias: Annotated[str, typer.Argument(help="The alias that it gets.", show_default=False)],
    project: ProjectOption = HERE,
) -> None:
    """Point an alias at a version."""
    from infra.cli import show

    _registry(project).set_alias(name, alias, version)
    show.out.print(f"{alias} is {name} v{version}")


def _registry(project: Path) -> Registry:
    from infra.models import registry_of
    from infra.settings import load_settings

    where = folder(project)
    return registry_of(where, load_settings(where))


def _as_json(registry: Registry, manifest: Manifest) -> dict[str, Any]:
    """The manifest, whole, and the aliases that point at it."""
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(manifest)
    return fields | {"aliases": _aliases(registry, manifest)}


def _row(registry: Registry, manifest: Manifest) -> dict[str, Any]:
    return {
        "model": manifest.name,
        "version": manifest.version,
        "aliases": ", ".join(_aliases(registry, manifest)),
        "service": manifest.service,
        "trained": _trained(manifest),
        "auc": _rounded(manifest.metrics.get("auc")),
        "average precision": _rounded(manifest.metrics.get("average_precision")),
        "plan": manifest.plan[:12],
        "sha256": manifest.sha256[:12],
    }


def _show_model(registry: Registry, manifest: Manifest, as_json: bool) -> None:
    from infra.cli import show

    if as_json:
        show.json(_as_json(registry, manifest))
        return
    show.out.print(f"[bold]{manifest.name} v{manifest.version}[/]  [cyan]{', '.join(_aliases(registry, manifest))}[/]")
    show.out.print(f"[dim]trained[/] {_trained(manifest)}  [dim]service[/] {manifest.service}  [dim]plan[/] {manifest.plan[:12]}")
    show.out.print(f"[dim]sha256[/] {manifest.sha256}\n")
    metrics = [(name.replace("_", " "), _rounded(value)) for name, value in manifest.metrics.items()]
    show.table("Metrics on the test days", ("metric", "value"), metrics, right=("value",))
    show.out.print()
    show.table("Inputs", ("#", "input"), enumerate(manifest.inputs, 1), right=("#",))


def _aliases(registry: Registry, manifest: Manifest) -> list[str]:
    return [alias for alias, number in sorted(registry.aliases(manifest.name).items()) if number == manifest.version]


def _trained(manifest: Manifest) -> str:
    start, end = (moment_text(ms).removesuffix(" 00:00:00") for ms in (manifest.trained_from, manifest.trained_until))
    return f"{start} to before {end}"


def _registered(registry: Registry, name: str, before: tuple[int, ...]) -> str:
    """What an interrupted training has left in the registry: nothing, or a version without its alias."""
    new = sorted(set(registry.versions(name)) - set(before))
    versions = ", ".join(f"{name} v{version}" for version in new)
    return f"{versions} is registered; give it an alias with 'headrace models promote'" if new else "no model was registered"


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value.is_integer() and value > 1 else f"{value:.4f}"


def _split(start: str, days: int, delay: int, test_days: int) -> Split:
    """The days of training and test. Raises `SettingError` where ``start`` is no day, or the last lies beyond the calendar."""
    from jobs.training.split import Split

    try:
        split = Split(date.fromisoformat(start), days, delay, test_days)
        split.train_from + timedelta(days=days + delay + test_days)
    except ValueError:
        raise SettingError(f"a day is YYYY-MM-DD; got '{start}'; write 2026-01-31, say") from None
    except OverflowError:
        raise SettingError(f"days lie before the year 10000; got {days + delay + test_days} from {start}; take fewer") from None
    return split
