"""``headrace train`` and ``headrace models``: how models come about, and which versions are in service."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from features.errors import SettingError
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder
from infra.cli.batch_rows import warn_of_batch_rows
from infra.cli.options import ServiceArgument

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
    from features.definitions.load import load
    from infra.cli import show
    from infra.config import with_settings
    from infra.settings import load_settings
    from jobs.training.split import Split
    from jobs.training.train import train as run
    from serving.models.registry import Registry

    where = folder(project)
    settings = load_settings(where)
    if service not in settings.train:
        raise SettingError(f"training needs a label; headrace.toml has no [train.{service}]; add it, with a label")
    registry = Registry(where / settings.registry)
    with show.progress() as on_progress:
        result = run(
            with_settings(load(where).service(service), settings),
            settings.train[service].config,
            Split(_day(start), days, delay, test_days),
            register=registry.register,
            on_progress=on_progress,
        )
    if promote:
        registry.set_alias(result.manifest.name, promote, result.manifest.version)
    _show_model(result.manifest, promote, as_json)
    warn_of_batch_rows(result.batch, service)


@models_app.command("list", epilog="Example: headrace models list --project DIR")
def list_models(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List every version of every model, with its aliases."""
    from infra.cli import show

    registry = _registry(project)
    rows = [_row(registry, name, version) for name in registry.names() for version in registry.versions(name)]
    if as_json:
        show.json(rows)
    elif not rows:
        show.out.print("no model yet; train one with 'headrace train'")
    else:
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
    manifest = registry.get(name, version or newest).manifest
    _show_model(manifest, _aliases(registry, name, manifest.version), as_json)


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


def _registry(project: Path) -> Any:
    from infra.settings import load_settings
    from serving.models.registry import Registry

    where = folder(project)
    return Registry(where / load_settings(where).registry)


def _row(registry: Any, name: str, version: int) -> dict[str, Any]:
    manifest = registry.get(name, version).manifest
    return {
        "model": name,
        "version": version,
        "aliases": _aliases(registry, name, version),
        "service": manifest.service,
        "trained": _span(manifest),
        "auc": _rounded(manifest.metrics.get("auc")),
        "average precision": _rounded(manifest.metrics.get("average_precision")),
        "plan": manifest.plan[:12],
        "sha256": manifest.sha256[:12],
    }


def _show_model(manifest: Any, aliases: str | None, as_json: bool) -> None:
    from infra.cli import show

    if as_json:
        show.json(manifest)
        return
    show.out.print(f"[bold]{manifest.name} v{manifest.version}[/]  [cyan]{aliases or ''}[/]")
    show.out.print(f"[dim]trained[/] {_span(manifest)}  [dim]service[/] {manifest.service}  [dim]plan[/] {manifest.plan[:12]}")
    show.out.print(f"[dim]sha256[/] {manifest.sha256}\n")
    metrics = [(name.replace("_", " "), _rounded(value)) for name, value in manifest.metrics.items()]
    show.table("Metrics on the test days", ("metric", "value"), metrics, right=("value",))
    show.out.print()
    show.table("Inputs", ("#", "input"), enumerate(manifest.inputs, 1), right=("#",))


def _aliases(registry: Any, name: str, version: int) -> str:
    return ", ".join(alias for alias, number in sorted(registry.aliases(name).items()) if number == version)


def _span(manifest: Any) -> str:
    start, end = (datetime.fromtimestamp(ms / 1000, UTC).date() for ms in (manifest.trained_from, manifest.trained_until))
    return f"{start} to before {end}"


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value == int(value) and value > 1 else f"{value:.4f}"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingError(f"a day is YYYY-MM-DD; got '{text}'; write 2026-01-31, say") from None
