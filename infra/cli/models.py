"""``headrace models``: which versions there are, and which are in service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.times import moment_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder

if TYPE_CHECKING:
    from serving.models.manifest import Manifest
    from serving.models.registry import Registry

models_app = typer.Typer(help="Show and promote the models of the registry.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")


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
    show_version(registry, registry.get(name, version or newest).manifest, as_json)


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
    from infra.settings import load_settings
    from serving.models.registry import Registry

    where = folder(project)
    return Registry(where / load_settings(where).registry)


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


def show_version(registry: Registry, manifest: Manifest, as_json: bool) -> None:
    """A version for a person to read, or as JSON."""
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


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value.is_integer() and value > 1 else f"{value:.4f}"
