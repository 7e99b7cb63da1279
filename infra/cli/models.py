"""``headrace models list`` and ``show``: which versions there are, which are in service, and how they do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.times import moment_text, short_duration_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder

if TYPE_CHECKING:
    from serving.models.environments import Environment
    from serving.models.lifecycle import Entry
    from serving.models.manifest import Manifest
    from serving.models.registry import Registry

models_app = typer.Typer(
    help="Show the models of the registry, and put them in service.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(models_app, name="models")

NameArgument = Annotated[str, typer.Argument(help="A model.", show_default=False)]
VersionArgument = Annotated[int, typer.Argument(help="The version.", show_default=False)]

METRICS = ("average_precision", "auc", "mae", "rmse")
"""What a list shows of a version's metrics: the first of these that it has."""
STATES = {"serving": "green", "failed": "red", "silent": "yellow", "not reported": "dim"}
SHOWN = {"name", "version", "sha256", "inputs", "plan", "service", "trained_from", "trained_until", "metrics", "created_at"}
"""What ``show`` has a place for; all else that a manifest says of the version is a line each."""
LONG = {"signature", "cpu", "golden"}
"""What only ``--json`` shows."""


@models_app.command("list", epilog="Example: headrace models list --project DIR")
def list_models(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List every version of every model, the environments that it serves, and how.

    State, events/s and p99 are what the scorers report. The age is the time since the version came to its environment, or since
    it was made where it has none.
    """
    from infra.cli import show

    registry = registry_at(project)
    found = registry.manifests()
    serving = _environments(registry, {manifest.service for manifest in found})
    if as_json:
        show.json([_as_json(manifest, serving) for manifest in found])
    elif not found:
        show.out.print("no model yet; train one with 'headrace train'")
    else:
        now = round(time.time() * 1000)
        rows = [row for one in sorted(found, key=_place) for row in _rows(one, _of(serving, one), now)]
        numbers = ("version", "share", "age", "events/s", "p99")
        show.table("", tuple(rows[0]), [tuple(row.values()) for row in rows], right=numbers)
        for one in serving:
            for instance, error in one.errors.items():
                show.out.print(f"[red]{one.alias}[/] of {one.service} on scorer {instance}: ", end="")
                show.out.print(error, markup=False)


@models_app.command("show", epilog="Example: headrace models show MODEL --version production")
def show_model(
    name: NameArgument,
    version: Annotated[str | None, typer.Option(help="A version or an alias; none: the newest.", show_default=False)] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show one version: what it was trained on, its metrics, its inputs, and where it serves and served."""
    registry = registry_at(project)
    show_version(registry, registry.manifest(name, version or registry.newest(name)), as_json)


def registry_at(project: Path) -> Registry:
    """The registry of the project in a folder."""
    from infra.models import registry_of
    from infra.settings import load_settings

    where = folder(project)
    return registry_of(where, load_settings(where))


def show_version(registry: Registry, manifest: Manifest, as_json: bool) -> None:
    """Print one version."""
    import msgspec

    from infra.cli import show
    from infra.cli.models_log import change_text

    serving = _environments(registry, {manifest.service})
    if as_json:
        show.json(_as_json(manifest, serving))
        return
    names = ", ".join(one.alias for one in _of(serving, manifest))
    show.out.print(f"[bold]{manifest.name} v{manifest.version}[/]  [cyan]{names}[/]")
    of = f"[dim]service[/] {manifest.service}  [dim]plan[/] {manifest.plan[:12]}"
    show.out.print(f"[dim]trained[/] {_trained(manifest) or 'elsewhere'}  {of}")
    show.out.print(f"[dim]sha256[/] {manifest.sha256}\n")
    told = [*_facts({k: v for k, v in msgspec.to_builtins(manifest).items() if k not in SHOWN | LONG})]
    if told:
        show.table("Lineage", ("what", "value"), [(what, show.escape(value)) for what, value in told])
        show.out.print()
    metrics = [(name.replace("_", " "), rounded(value)) for name, value in manifest.metrics.items()]
    show.table("Metrics on the test days", ("metric", "value"), metrics, right=("value",))
    show.out.print()
    show.table("Inputs", ("#", "input"), enumerate(manifest.inputs, 1), right=("#",))
    changes = [entry for entry in registry.entries(manifest.service) if _is_about(entry, manifest)]
    if changes:
        show.out.print()
        rows = [tuple(map(show.escape, (moment_text(one.at), change_text(one), one.who, one.why))) for one in changes]
        show.table("Deployments", ("when", "change", "who", "why"), rows)


def rounded(value: float | None) -> str:
    """A metric for a person to read."""
    return "" if value is None else f"{value:,.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.4f}"


def _environments(registry: Registry, services: set[str]) -> list[Environment]:
    from serving.models.environments import environments

    now = round(time.time() * 1000)
    return [
        one
        for service in sorted(services)
        for one in environments(registry.deployed(service), registry.entries(service), registry.reports(service), now)
    ]


def _of(serving: Sequence[Environment], manifest: Manifest) -> list[Environment]:
    """The environments that have a version."""
    return [one for one in serving if one.placed == manifest.placed]


def _is_about(entry: Entry, manifest: Manifest) -> bool:
    return manifest.placed in (entry.placed, entry.before)


def _as_json(manifest: Manifest, serving: Sequence[Environment]) -> dict[str, Any]:
    """The manifest, whole, and the environments that have the version."""
    import msgspec

    here = _of(serving, manifest)
    fields: dict[str, Any] = msgspec.to_builtins(manifest)
    told = {"aliases": sorted(one.alias for one in here), "environments": [msgspec.to_builtins(one) for one in here]}
    return fields | {"inputs": list(manifest.inputs)} | told


def _place(manifest: Manifest) -> tuple[str, str, int]:
    return manifest.service, manifest.name, manifest.version


def _rows(manifest: Manifest, here: Sequence[Environment], now: int) -> list[dict[str, Any]]:
    """A row of the list for each environment that has the version, or one."""
    metric = next((name for name in (*METRICS, *manifest.metrics) if name in manifest.metrics), None)
    shared = {"metric": "" if metric is None else f"{metric.replace('_', ' ')} {rounded(manifest.metrics[metric])}"}
    which = {"service": manifest.service, "model": manifest.name, "version": manifest.version}
    none = {"environment": "", "share": "", "state": "", "age": _age(now - manifest.created_at), "events/s": "", "p99": ""}
    return [which | cells | shared for cells in (_cells(one, now) for one in here)] or [which | none | shared]


def _cells(one: Environment, now: int) -> dict[str, Any]:
    failed = f" on {len(one.errors)}" if one.errors and one.events_per_second is not None else ""
    return {
        "environment": one.alias,
        "share": "" if one.share is None else f"{one.share:.4g}",
        "state": f"[{STATES[one.state]}]{one.state}{failed}[/]",
        "age": _age(now - one.since),
        "events/s": "" if one.events_per_second is None else f"{one.events_per_second:,.1f}",
        "p99": "" if one.p99_ms is None else f"{one.p99_ms:.1f} ms",
    }


def _age(ms: int) -> str:
    return short_duration_text(max(ms, 0) // 1000 * 1000) if ms >= 1000 else "0s"


def _facts(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines of what a manifest says, those of a dictionary each; what says nothing is left out."""
    found: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, dict):
            found += _facts(value)
        elif value not in (None, "", ()):
            found.append((name.replace("_", " "), ", ".join(value) if isinstance(value, tuple) else str(value)))
    return found


def _trained(manifest: Manifest) -> str:
    if manifest.trained_from is None or manifest.trained_until is None:
        return ""
    start, end = (moment_text(ms).removesuffix(" 00:00:00") for ms in (manifest.trained_from, manifest.trained_until))
    return f"{start} to before {end}"
