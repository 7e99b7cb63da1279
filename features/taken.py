"""What a topic's events need, by the plans that read it: the one place for `headrace publish` and the HTTP service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from features.plan import Plan, Source


class Taken(NamedTuple):
    """A topic, as the plans that read it take its events."""

    source: Source
    key: str | None
    """The column whose value is the record's key: that of the first windows over the source; None where there are none."""
    required: frozenset[str]
    """The columns without which one of the plans cannot use an event."""


def taken(topic: str, plans: Iterable[Plan]) -> Taken | None:
    """How ``plans`` take the events of ``topic``: with the columns and the key of the first that reads it, and what any of them
    needs; None where none reads it.
    """
    readers = [(plan, source) for plan in plans for source in plan.sources if source.topic == topic]
    if not readers:
        return None
    plan, source = readers[0]
    stages = sorted(plan.windows, key=lambda stage: stage.source != source.name)
    required = frozenset(name for plan, source in readers for name in plan.required(source))
    return Taken(source, stages[0].key[0] if stages else None, required)
