"""``headrace models log``: who changed what of the environments, when, why, and from which offsets on the scorers follow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.times import moment_text
from infra.cli.app import HERE, JsonOption, ProjectOption
from infra.cli.models import models_app, registry_at

if TYPE_CHECKING:
    from serving.models.lifecycle import Entry
    from serving.models.registry import Registry
    from serving.models.reports import Taken


@models_app.command(epilog="Example: headrace models log SERVICE")
def log(
    name: Annotated[str | None, typer.Argument(help="A service, or a model; none: all services.", show_default=False)] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show every change of what is in service: when, who, why, from what to what, and from which offsets.

    A scorer's offsets are, by partition of the service's feature vectors, the first that the change holds for.
    """
    import msgspec

    from infra.cli import show

    registry = registry_at(project)
    found = [
        (entry, [one for one in taken if one.serving.seq == entry.seq and _is_of(entry, one)])
        for service in _services(registry, name)
        for taken in [registry.taken(service)]
        for entry in registry.entries(service)
        if name is None or name == service or _names(entry, name)
    ]
    if as_json:
        show.json([msgspec.to_builtins(entry) | {"scorers": [_as_json(one) for one in taken]} for entry, taken in found])
    elif not found:
        show.out.print("no change yet; put a version in service with 'headrace models promote'")
    else:
        columns = ("when", "service", "#", "change", "who", "why", "scorers")
        show.table("", columns, [_cells(entry, taken) for entry, taken in found], right=("#",))


def now_text(entry: Entry) -> str:
    """What is in service after a change, and what was before, as one line."""
    before = f", before {entry.before}" if entry.before and entry.before != entry.placed else ""
    match entry.action:
        case "canary" if entry.share:
            return f"canary is {entry.placed}, for {entry.share:.4g} of the keys of {entry.service}{before}"
        case "canary":
            return f"the canary {entry.placed} of {entry.service} has ended"
        case "alias" if entry.placed is None:
            return f"{entry.alias} of {entry.service} has ended{before}"
        case "remove":
            return f"{entry.placed} is removed"
        case "decline":
            return f"a newer model was declined; production stays {entry.placed}"
        case "postpone":
            return f"a retrain was not begun; production stays {entry.placed}"
        case "fail":
            return f"a retrain failed; production stays {entry.placed}"
    return f"{entry.alias} is {entry.placed}{before}"


def change_text(entry: Entry) -> str:
    """A change, from what to what."""
    before, after = (str(placed) if placed else "nothing" for placed in (entry.before, entry.placed))
    match entry.action:
        case "canary" if entry.share:
            return f"canary: {entry.placed} at {entry.share:.4g}"
        case "canary":
            return f"canary: {before} → nothing"
        case "remove":
            return f"removed: {after}"
        case "decline":
            return f"production: {after} stays, a newer model was declined"
        case "postpone":
            return f"production: {after} stays, a retrain was not begun"
        case "fail":
            return f"production: {after} stays, a retrain failed"
        case "rollback":
            return f"production: {before} → {after}, rolled back"
    return f"{entry.alias}: {before} → {after}{', forced' if entry.forced else ''}"


def _services(registry: Registry, name: str | None) -> Sequence[str]:
    """The services whose log is shown. Raises `SettingError` where the name is neither a service's nor a model's."""
    services = registry.services()
    if name is None:
        return services
    return [name] if name in services else [registry.service_of(name)]


def _names(entry: Entry, model: str) -> bool:
    return model in (entry.model, entry.before.model if entry.before else None)


def _is_of(entry: Entry, taken: Taken) -> bool:
    """Whether a scorer speaks of the environment that the entry changed."""
    return taken.serving.alias == entry.environment


def _as_json(taken: Taken) -> dict[str, Any]:
    serving = taken.serving
    told = {"state": serving.state, "error": serving.error, "offsets": serving.offsets, "since": serving.since}
    return {"instance": taken.instance} | told


def _cells(entry: Entry, taken: Sequence[Taken]) -> list[object]:
    from infra.cli import show

    told = (moment_text(entry.at), entry.service, entry.seq, change_text(entry), entry.who, entry.why)
    return [show.escape(str(cell)) for cell in (*told, "; ".join(map(_scorer_text, taken)))]


def _scorer_text(taken: Taken) -> str:
    """``0 from 0@12 1@7``, or why not."""
    serving = taken.serving
    if serving.state == "failed":
        return f"{taken.instance} failed: {serving.error}"
    return f"{taken.instance} from {' '.join(f'{partition}@{offset}' for partition, offset in sorted(serving.offsets.items()))}"
