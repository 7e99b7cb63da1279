"""Stream against batch: every value of every feature vector held against the batch engine's for the same event."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from features.errors import SettingError
from features.inputs.arrow import floats
from features.plan import Plan, Stage, WindowFeature
from schemas import FeatureVector, LateRow, Origin

Key = tuple[Any, ...]
EXAMPLES = 10
"""Differences shown of a stage."""


class Missed(msgspec.Struct):
    """What the late rows of one key account for in one view, by the stream job's ledger."""

    times: list[int] = msgspec.field(default_factory=list)
    """Event times of the rows, in their order, UTC milliseconds."""
    values: float = 0
    """Values of vectors that the rows would have changed; infinite where the ledger has not counted all."""


Ledger = Mapping[tuple[str, str, Key], Missed]
"""By source, view and the key of its windows."""


class StageParity(msgspec.Struct, frozen=True):
    """The comparison of one stage's values."""

    stage: str
    values: int
    differing: int
    explained: int
    """Of these, those of a vector that says it is not complete, and those explained by late rows in their window: of a key and a
    view no more than the ledger counts values that late rows would have changed.
    """
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


def compare(plan: Plan, batch: pa.Table, vectors: Iterable[FeatureVector], ledger: Ledger | None = None) -> Parity:
    """Hold ``vectors`` against ``batch``, as `jobs.history.compute.compute` gives it, event by event.

    ``ledger``: in arrival mode, of the late rows of the vectors' time, by `ledger_of`. In event-time mode nothing excuses a
    difference, and it is left out. Raises `SettingError` for a vector of an event that ``batch`` lacks.
    """
    expected = _by_event(plan, floats(batch))
    vectors = list(vectors)
    for vector in vectors:
        if vector.event_id not in expected:
            raise SettingError(
                f"a comparison needs batch rows for each event; there is none for {vector.event_id}; widen the span"
            )
    return Parity(len(vectors), tuple(_compare(plan, stage, expected, vectors, ledger) for stage in plan.windows))


def _by_event(plan: Plan, batch: pa.Table) -> dict[Any, dict[str, Any]]:
    names = [f.name for f in plan.window_features]
    columns = [batch[name].to_pylist() for name in names]
    ids = batch[plan.spine_source.event_id].to_pylist()
    return {event: dict(zip(names, values, strict=True)) for event, *values in zip(ids, *columns, strict=True)}


def _compare(
    plan: Plan,
    stage: Stage,
    expected: Mapping[Any, Mapping[str, Any]],
    vectors: Sequence[FeatureVector],
    ledger: Ledger | None,
) -> StageParity:
    explains = _nothing if ledger is None else _Explanations(stage, ledger)
    differing = explained = 0
    examples: list[str] = []
    for vector, feature in _differing(plan, stage, expected, vectors):
        differing += 1
        if explains(vector, feature):
            explained += 1
        elif len(examples) < EXAMPLES:
            ours, theirs = vector.features[feature.name], expected[vector.event_id][feature.name]
            examples.append(f"event {vector.event_id} {feature.name}: stream {ours!r}, batch {theirs!r}")
    return StageParity(stage.name, len(vectors) * len(stage.features), differing, explained, tuple(examples))


def _differing(
    plan: Plan, stage: Stage, expected: Mapping[Any, Mapping[str, Any]], vectors: Sequence[FeatureVector]
) -> Iterator[tuple[FeatureVector, WindowFeature]]:
    """The values of the stage that are further apart than rule 7 says."""
    source = plan.source(stage.source)
    apart = {feature: feature.aggregation.relative(source.column(feature.column).type) for feature in stage.features}
    for vector in vectors:
        of_batch = expected[vector.event_id]
        for feature, relative in apart.items():
            if not _equal(vector.features[feature.name], of_batch[feature.name], relative):
                yield vector, feature


def _nothing(vector: FeatureVector, feature: WindowFeature) -> bool:
    """Event-time mode: nothing explains a difference."""
    return False


class _Explanations:
    """Arrival mode: a difference is explained by its vector, which is not complete, or by late rows in its window.

    Late rows of a key and a view explain as many values as the ledger says they changed.
    """

    def __init__(self, stage: Stage, ledger: Ledger) -> None:
        self._stage = stage
        self._ledger = ledger
        self._left = {place: missed.values for place, missed in ledger.items()}

    def __call__(self, vector: FeatureVector, feature: WindowFeature) -> bool:
        """Whether a difference in this value is explained; if so by late rows, they explain one less from now on."""
        if not vector.complete:
            return True
        place = (self._stage.source, feature.view, tuple(vector.event[name] for name in self._stage.key))
        if self._left.get(place, 0) <= 0 or not _in_window(vector.event_time, feature, self._ledger[place].times):
            return False
        self._left[place] -= 1
        return True


def _equal(ours: Any, theirs: Any, relative: float) -> bool:
    """To the bit, or as near as rule 7 says."""
    if relative and ours is not None and theirs is not None:
        return bool(abs(ours - theirs) <= relative * max(abs(ours), abs(theirs)))
    return bool(ours == theirs)


def _in_window(at: int, feature: WindowFeature, times: Sequence[int]) -> bool:
    """Whether the feature's window at a time holds one of ``times`` (rule 1)."""
    return bisect_right(times, at - feature.window_ms) < bisect_right(times, at)


def ledger_of(plan: Plan, entries: Iterable[LateRow], events: Mapping[Origin, Mapping[str, Any]]) -> Ledger:
    """The ledger in the form that `compare` wants.

    ``entries``: as read, repeats included. ``events``: the rows that they are of, by origin; an entry whose row is not among
    them explains nothing.
    """
    ledger: dict[tuple[str, str, Key], Missed] = {}
    keys = {(stage.source, feature.view): stage.key for stage in plan.windows for feature in stage.features}
    for entry in {(entry.origin, entry.view): entry for entry in entries}.values():
        event, key = events.get(entry.origin), keys.get((entry.source, entry.view))
        if event is not None and key is not None:  # else it is of another time, or of another service
            missed = ledger.setdefault((entry.source, entry.view, tuple(event[name] for name in key)), Missed())
            insort(missed.times, entry.event_time)
            missed.values += entry.changed if entry.counted else math.inf
    return ledger
