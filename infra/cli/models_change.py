"""``headrace models promote``, ``rollback``, ``canary`` and ``remove``: what a service's environments serve from now on.

Running scorers take a change within a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import SettingError
from infra.cli.app import HERE, ProjectOption, folder
from infra.cli.models import NameArgument, VersionArgument, models_app, registry_at

if TYPE_CHECKING:
    from schemas.deployment import Action

WhyOption = Annotated[str, typer.Option(help="Why, for the log.", metavar="TEXT", show_default=False)]


@models_app.command(epilog="Example: headrace models promote MODEL 2")
def promote(
    name: NameArgument,
    version: VersionArgument,
    alias: Annotated[str, typer.Argument(help="The environment: production, or the name of a shadow.")] = "production",
    force: Annotated[bool, typer.Option("--force", help="Promote what the gate refuses; needs --why.")] = False,
    why: WhyOption = "",
    project: ProjectOption = HERE,
) -> None:
    """Put a version in production, or try it in a shadow: staging, say.

    Production is what users see. A shadow scores the same stream and writes to a topic of its own, predictions.SERVICE.ALIAS.
    What goes to production passes a gate first: its predictions in a shadow are held against production's for the same events.
    Where a check falls short nothing is changed, and the exit code is 1.
    """
    if force and not why.strip():
        raise SettingError("what is forced has a reason in the log; got --force without one; add --why TEXT")
    if alias != "production":
        _make(project, name, "alias", version, alias=alias, why=why)
        return
    if not force and not _passes_the_gate(project, name, version):
        raise typer.Exit(1)
    _make(project, name, "promote", version, why=why, forced=force)


@models_app.command(epilog="Example: headrace models rollback MODEL --why 'too many alarms'")
def rollback(name: NameArgument, why: WhyOption = "", project: ProjectOption = HERE) -> None:
    """Put the version back in production that was there before.

    A second rollback goes one further back. A canary ends.
    """
    _make(project, name, "rollback", why=why)


@models_app.command(epilog="Example: headrace models canary MODEL 3 --share 0.05")
def canary(
    name: NameArgument,
    version: VersionArgument,
    share: Annotated[
        float,
        typer.Option(
            help="Its share of production's keys, above 0 and below 1; 0 ends it.", metavar="NUMBER", show_default=False
        ),
    ],
    why: WhyOption = "",
    project: ProjectOption = HERE,
) -> None:
    """Let a version serve a share of production's keys.

    A larger share only adds keys.
    """
    _make(project, name, "canary", version, share=share, why=why)


@models_app.command(epilog="Example: headrace models remove MODEL 1")
def remove(
    name: NameArgument,
    version: Annotated[int | None, typer.Argument(help="The version.", show_default=False)] = None,
    alias: Annotated[str | None, typer.Option(help="End this shadow, and keep its version.", show_default=False)] = None,
    why: WhyOption = "",
    project: ProjectOption = HERE,
) -> None:
    """Remove a version that no environment has, or end a shadow.

    A version's number is not used again, and its manifest stays in the registry as removed.json.
    """
    from infra.cli import show
    from serving.models.log import user

    if (version is None) == (alias is None):
        raise SettingError("what is removed is a version or a shadow; got both or none; give VERSION, or --alias ALIAS")
    if version is None:
        _make(project, name, "alias", alias=alias, why=why)
        return
    registry_at(project).remove(name, version, who=user(), why=why)
    show.out.print(f"{name} v{version} is removed")


def _passes_the_gate(project: Path, name: str, version: int) -> bool:
    """Whether live traffic says nothing against a version; shows what it says."""
    from infra.cli import show
    from infra.gate import judged
    from infra.settings import load_settings
    from schemas.deployment import Placed
    from serving.models.lifecycle import Change

    where, registry = folder(project), registry_at(project)
    registry.check(registry.service_of(name), Change(action="promote", model=name, version=version))
    found = judged(where, load_settings(where), registry, Placed(name, version))
    show.out.print(found.note, markup=False)
    marks = {True: "[green]passed[/]", False: "[red]falls short[/]"}
    show.table(
        "",
        ("", "check", "found", "wanted"),
        [(marks[check.passed], check.name, check.found, check.wanted) for check in found.checks],
    )
    if not found.passed:
        show.out.print(
            f"\nnothing is changed; 'headrace models promote {name} {version} --force --why TEXT' promotes it all the same"
        )
    return found.passed


def _make(project: Path, name: str, action: Action, version: int | None = None, **more: Any) -> None:
    """Make a change of the model's service, and say what is in service now."""
    from infra.cli import show
    from infra.cli.models_log import now_text
    from infra.deploy import deploy
    from infra.settings import load_settings
    from serving.models.lifecycle import Change
    from serving.models.log import user

    where, registry = folder(project), registry_at(project)
    change = Change(action=action, model=name, version=version, who=user(), **more)
    show.out.print(now_text(deploy(where, load_settings(where), registry, registry.service_of(name), change)))
