"""Stream against batch: every value of every feature vector held against the batch engine's for the same event."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from features.aggregations import relative
from features.errors import SettingError
from features.plan import Plan, WindowFeature, Windows
from jobs.history import floats
from schemas import FeatureVector

CLOSE_MS = 1_000
"""Arrival mode: a row published less than this before an event may reach the windows after it."""

Key = tuple[Any, ...]


class Published(msgspec.Struct, frozen=True):
    """A row of a source other than the spine, as it was published."""

    time: int
    """Event time, UTC milliseconds."""
    at: int
    """Kafka's timestamp of its record."""


class StageParity(msgspec.Struct, frozen=True):
    """The comparison of one stage's values."""

    stage: str
    values: int
    differing: int
    explained: int
    """Of these, those where a row of the other source was published after the event, or too close before it."""
    examples: tuple[str, ...]
    """The first differences that have no such explanation."""

    @property
    def unexplained(self) -> int:
        """Differences that are a defect."""
        return self.differing - self.explained


class Parity(msgspec.Struct, frozen=True):
    """The comparison of a stream with the batch engine."""

    events: int
    stages: tuple[StageParity, ...]

    @property
    def unexplained(self) -> int:
        """Differences that are a defect, over all stages."""
        return sum(stage.unexplained for stage in self.stages)


def compare(
    plan: Plan,
    batch: pa.Table,
    vectors: Iterable[FeatureVector],
    others: Mapping[str, Mapping[Key, Sequence[Published]]] | None = None,
) -> Parity:
    """Hold ``vectors`` against ``batch``, as `jobs.history.compute` gives it, event by event.

    ``others``: in arrival mode, the rows of each source but the spine, by key, in order of event time. In event-time mode
    nothing excuses a difference, and it is left out. Raises `SettingError` for a vector of an event that ``batch`` lacks.
    """
    expected = _by_event(plan, floats(batch))
    vectors = list(vectors)
    for vector in vectors:
        if vector.event_id not in expected:
            raise SettingError(
                f"a comparison needs batch rows for each event; there is none for {vector.event_id}; widen the span"
            )
    stages = [_compare(plan, stage, expected, vectors, (others or {}).get(stage.source)) for stage in plan.windows]
    return Parity(len(vectors), tuple(stages))


def _by_event(plan: Plan, batch: pa.Table) -> dict[Any, dict[str, Any]]:
    names = [f.name for f in plan.window_features]
    columns = [batch[name].to_pylist() for name in names]
    ids = batch[plan.spine_source.event_id].to_pylist()
    return {event: dict(zip(names, values, strict=True)) for event, *values in zip(ids, *columns, strict=True)}


def _compare(
    plan: Plan,
    stage: Windows,
    expected: Mapping[Any, Mapping[str, Any]],
    vectors: Sequence[FeatureVector],
    others: Mapping[Key, Sequence[Published]] | None,
) -> StageParity:
    of = plan.source(stage.source).column
    apart = {f.name: relative(f.function, of(f.column).type) for f in stage.features}
    differing = explained = 0
    examples: list[str] = []
    for vector in vectors:
        for feature in stage.features:
            ours, theirs = vector.features[feature.name], expected[vector.event_id][feature.name]
            if _equal(ours, theirs, apart[feature.name]):
                continue
            differing += 1
            if others is not None and _late(vector, stage, feature, others):
                explained += 1
            elif len(examples) < 10:
                examples.append(f"event {vector.event_id} {feature.name}: stream {ours!r}, batch {theirs!r}")
    return StageParity(stage.name, len(vectors) * len(stage.features), differing, explained, tuple(examples))


def _equal(ours: Any, theirs: Any, relative: float) -> bool:
    """To the bit, or as near as rule 7 says."""
    if relative and ours is not None and theirs is not None:
        return bool(abs(ours - theirs) <= relative * max(abs(ours), abs(theirs)))
    return bool(ours == theirs)


def _late(vector: FeatureVector, stage: Windows, feature: WindowFeature, others: Mapping[Key, Sequence[Published]]) -> bool:
    """Whether a row that the window should hold was published after the event, or too close before it."""
    rows = others.get(tuple(vector.event[name] for name in stage.key), ())
    first = bisect_right(rows, vector.event_time - feature.window_ms, key=lambda row: row.time)
    last = bisect_right(rows, vector.event_time, key=lambda row: row.time)
    return any(row.at > vector.arrived_at - CLOSE_MS for row in rows[first:last])


def by_key(stage: Windows, time: str, rows: Iterable[tuple[Mapping[str, Any], int]]) -> dict[Key, list[Published]]:
    """The rows of a stage's source, as (event, Kafka's timestamp), in the form that `compare` wants."""
    result = defaultdict(list)
    for event, at in rows:
        result[tuple(event[name] for name in stage.key)].append(Published(event[time], at))
    for published in result.values():
        published.sort(key=lambda row: row.time)
    return dict(result)
