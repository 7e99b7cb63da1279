"""``headrace features``, ``train``, ``score`` and ``models``: what is done with history, and what comes of it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from features.errors import SettingError
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, utc_ms

models_app = typer.Typer(help="Show and promote the models of the registry.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")

ServiceArgument = Annotated[str, typer.Argument(help="A feature service.", show_default=False)]
OutOption = Annotated[Path, typer.Option(help="The Parquet file to write.", show_default=False)]
EventsOption = Annotated[
    Path | None, typer.Option(help="The rows to answer, a Parquet file; none: the spine's history.", show_default=False)
]
FromOption = Annotated[str | None, typer.Option("--from", help="From this event time, UTC.", metavar="DATE", show_default=False)]
ToOption = Annotated[str | None, typer.Option("--to", help="To before this event time, UTC.", metavar="DATE", show_default=False)]
HistoryOption = Annotated[
    list[str] | None, typer.Option(help="Another history of a source.", metavar="SOURCE=FILE", show_default=False)
]


@app.command(epilog="Example: headrace features fraud --from 2018-07-25 --to 2018-08-08 --out features.parquet")
def features(
    service: ServiceArgument,
    out: OutOption,
    start: FromOption = None,
    end: ToOption = None,
    events: EventsOption = None,
    history: HistoryOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Compute the features of past events.

    They are the values that the stream would have served.
    """
    from features.definitions.load import load
    from infra.cli import show
    from jobs.history.compute import compute, write

    loaded = load(folder(project))
    with show.progress() as on_progress:
        table = compute(
            loaded.service(service),
            start_ms=utc_ms(start),
            end_ms=utc_ms(end),
            events=events,
            histories=_histories(history),
            on_progress=on_progress,
        )
        write(table, out)
    show.out.print(f"{table.num_rows:,} rows, {len(table.column_names)} columns in {out}")


@app.command(epilog="Example: headrace train fraud --from 2018-07-25 --promote production")
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
    from features.definitions.load import load
    from infra.cli import show
    from infra.settings import load_settings
    from jobs.training.train import TrainConfig
    from jobs.training.train import train as run
    from serving.models.registry import Registry

    where = folder(project)
    settings = load_settings(where)
    if service not in settings.train:
        raise SettingError(f"training needs a label; headrace.toml has no [train.{service}]; add it, with label and group")
    registry = Registry(where / settings.registry)
    with show.progress() as on_progress:
        result = run(
            load(where).service(service),
            TrainConfig(**settings.train[service].model_dump()),
            train_from=_day(start),
            days=days,
            delay_days=delay,
            test_days=test_days,
            register=registry.register,
            on_progress=on_progress,
        )
    if promote:
        registry.set_alias(result.manifest.name, promote, result.manifest.version)
    _show_model(result.manifest, promote, as_json)


@app.command(epilog="Example: headrace score fraud --from 2018-08-08 --to 2018-08-15 --out scores.parquet")
def score(
    service: ServiceArgument,
    out: OutOption,
    model: Annotated[str | None, typer.Option(help="A model of the registry; none: the service's.", show_default=False)] = None,
    version: Annotated[str | None, typer.Option(help="A version or an alias; none: the scorer's.", show_default=False)] = None,
    start: FromOption = None,
    end: ToOption = None,
    events: EventsOption = None,
    history: HistoryOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Score past events, as the scorer would have done."""
    from features.definitions.load import load
    from features.inputs.output import scores
    from infra.cli import show
    from infra.settings import load_settings
    from jobs.history.compute import write
    from jobs.predict.score import score_history
    from serving.models.registry import Registry
    from serving.models.session import load_session

    where = folder(project)
    settings = load_settings(where)
    chosen = Registry(where / settings.registry).get(model or service, version or settings.scorer.alias)
    with show.progress() as on_progress:
        table = score_history(
            load(where).service(service),
            partial(scores, load_session(chosen)),
            inputs=chosen.manifest.inputs,
            start_ms=utc_ms(start),
            end_ms=utc_ms(end),
            events=events,
            histories=_histories(history),
            on_progress=on_progress,
        )
        write(table, out)
    show.out.print(f"{table.num_rows:,} scores by {chosen.manifest.name} v{chosen.manifest.version} in {out}")


@models_app.command("list", epilog="Example: headrace models list --project examples/fraud")
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


@models_app.command("show", epilog="Example: headrace models show fraud --version production")
def show_model(
    name: Annotated[str, typer.Argument(help="A model.", show_default=False)],
    version: Annotated[str | None, typer.Option(help="A version or an alias; none: the newest.", show_default=False)] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show one version: its metrics, inputs and where they came from."""
    registry = _registry(project)
    newest = max(registry.versions(name), default=1)
    manifest = registry.get(name, version or newest).manifest
    _show_model(manifest, _aliases(registry, name, manifest.version), as_json)


@models_app.command(epilog="Example: headrace models promote fraud 2 production")
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


def _histories(written: list[str] | None) -> dict[str, Path]:
    """``SOURCE=FILE``, several times."""
    pairs = [item.partition("=") for item in written or ()]
    for source, _, file in pairs:
        if not file:
            raise SettingError(f"a history is SOURCE=FILE; got '{source}'; write --history transactions=old.parquet, say")
    return {source: Path(file) for source, _, file in pairs}


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingError(f"a day is YYYY-MM-DD; got '{text}'; write 2018-07-25, say") from None
