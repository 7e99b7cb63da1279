"""What a project's definitions declare, by name, and how one definition finds another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from features.definitions import rules
from features.errors import DefinitionError
from features.plan import Source


class Declared(msgspec.Struct, frozen=True):
    """What ``definitions.py`` declares, by name. Views and entities are Feast's objects, sources are read already."""

    streams: Mapping[str, Any]
    on_demand: Mapping[str, Any]
    batch: Mapping[str, Any]
    files: Mapping[str, Any]
    """For each batch view, Feast's object of the file that holds its rows; None where it is no file."""
    sources: Mapping[str, Source]
    entities: Mapping[str, Any]

    def view(self, user: str, name: str) -> Any:
        """The view called ``name``, of whatever kind; ``user`` is what wants it, for the error."""
        for views in (self.streams, self.on_demand, self.batch):
            if name in views:
                return views[name]
        raise DefinitionError(
            f"{user} takes stream, batch and on-demand views that definitions.py binds to a name; got view '{name}'; "
            "bind it, or make it one of these kinds"
        )

    def source(self, view: Any) -> Source:
        """The source of a stream view."""
        name = str(getattr(view.stream_source, "name", None))
        if name not in self.sources:
            raise DefinitionError(
                f"view '{view.name}': a stream view reads a KafkaSource that definitions.py binds to a name; got '{name}'; "
                f"bind it, or use {listed(self.sources)}"
            )
        return self.sources[name]

    def key(self, view: Any) -> tuple[str, ...]:
        """The columns of the key of a stream view or a batch view: its entities' join keys."""
        missing = [name for name in view.entities if name not in self.entities]
        if missing:
            came = "no entity" if missing == ["__dummy"] else f"entity '{missing[0]}'"
            raise DefinitionError(
                f"view '{view.name}': a view has entities that definitions.py binds to a name; got {came}; "
                f"write entities=[…] with one of {listed(self.entities)}"
            )
        return tuple(self.entities[name].join_key for name in view.entities)


def by_name(kind: str, objects: Iterable[Any], *types: type) -> dict[str, Any]:
    """The objects of ``types``. Raises `DefinitionError` for two of one name."""
    found: dict[str, Any] = {}
    chosen: list[Any] = [o for o in objects if isinstance(o, types)]
    for definition in chosen:
        rules.check_name(kind, definition.name)
        if definition.name.lower() in map(str.lower, found):
            raise DefinitionError(f"{kind} '{definition.name}': names differ in more than case; got two of this name; rename one")
        found[definition.name] = definition
    return found


def listed(names: Iterable[str]) -> str:
    """``names`` for an error."""
    return ", ".join(names) or "(none yet)"
