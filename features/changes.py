"""What differs between two plans of a service, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from features.plan import Plan
from features.times import duration_text

Parts = Mapping[str, Mapping[str, Any]]
"""The parts of a plan by what they are called, each with its fields."""
CODE = {"source_sha256": "code", "sql": "SQL"}
"""Fields that are too long to show."""


def changes(before: Plan, now: Plan) -> list[str]:
    """A line for each thing that was added, removed or changed; none where the plans are equal.

    ::

        added input spend__sum_2h
        input spend__sum_1h: window 1h → 90m
    """
    if before == now:
        return []
    old, new = _parts(before), _parts(now)
    found = [f"added {name}" for name in new if name not in old]
    found += [f"removed {name}" for name in old if name not in new]
    found += [f"{name}: {_fields(old[name], new[name])}" for name in old if name in new and old[name] != new[name]]
    kept = [[name for name in plan.inputs if name in before.inputs and name in now.inputs] for plan in (before, now)]
    if kept[0] != kept[1]:
        found.append("the inputs are in another order")
    return found or ["columns or windows are in another order"]


def _parts(plan: Plan) -> Parts:
    inputs = set(plan.inputs)
    parts: dict[str, dict[str, Any]] = {f"input {name}": {} for name in plan.inputs}
    for stage in plan.windows:
        for feature in stage.features:
            kind = "input" if feature.name in inputs else "window"
            parts[f"{kind} {feature.name}"] = {**_of(feature, "name"), "source": stage.source, "key": stage.key}
    for source in plan.sources:
        parts[f"source {source.name}"] = _of(source, "name", "columns")
        parts |= {f"column {source.name}.{column.name}": _of(column, "name") for column in source.columns}
    parts |= {f"on-demand view {view.view}": _of(view, "view") for view in plan.on_demand}
    parts |= {f"batch view {view.view}": _of(view, "view") for view in plan.batch}
    parts["service"] = _of(plan, "service", "inputs", "windows", "sources", "on_demand", "batch")
    return parts


def _of(struct: msgspec.Struct, *left_out: str) -> dict[str, Any]:
    """The fields of a part of a plan, but those that are its name or parts of their own."""
    return {name: value for name, value in msgspec.structs.asdict(struct).items() if name not in left_out}


def _fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(_field(name, old.get(name), new.get(name)) for name in names)


def _field(name: str, old: Any, new: Any) -> str:
    if name in CODE:
        return f"its {CODE[name]}"
    return f"{name.removesuffix('_ms').replace('_', ' ')} {_text(name, old)} → {_text(name, new)}"


def _text(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name.endswith("_ms"):
        return duration_text(value)
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_item, value)) if isinstance(value, tuple) else str(value)


def _item(value: Any) -> str:
    return "=".join(map(str, value)) if isinstance(value, tuple) else str(value)
