"""The window contract, rules 1 to 5, as the slow obvious answer. Every engine is held against this."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from features.plan import WindowFeature, Windows


class Event(NamedTuple):
    """A row of a source; a list of them is in the order of arrival."""

    source: str
    time: int
    columns: dict[str, Any]


def answers(stage: Windows, spine: str, events: Sequence[Event]) -> list[dict[str, Any]]:
    """The features of every event of the spine."""
    asked = [place for place, event in enumerate(events) if event.source == spine]
    return [{f.name: _feature(f, _window(stage, f, events, place)) for f in stage.features} for place in asked]


def _window(stage: Windows, feature: WindowFeature, events: Sequence[Event], asked: int) -> list[Any]:
    at = events[asked]
    return [
        event.columns[feature.column]
        for place, event in enumerate(events)
        if event.source == stage.source
        and all(event.columns[key] == at.columns[key] for key in stage.key)
        and at.time - feature.window_ms < event.time <= at.time
        and not (event.source == at.source and event.time == at.time and place > asked)
    ]


def _feature(feature: WindowFeature, values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    if feature.function == "count":
        return len(known)
    total = math.fsum(known) if any(isinstance(value, float) for value in known) else sum(known)
    if feature.function == "sum":
        return total
    if not known:
        return feature.fill
    return {"mean": float(Fraction(total) / len(known)), "min": min(known), "max": max(known)}[feature.function]
