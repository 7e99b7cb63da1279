"""From the messages of one poll to the input vectors of several models: completed by batch views and on-demand functions.

What two models need is made once: for the first that needs it, and kept for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from features.feast.cache import KeptRows
from features.feast.keys import Key
from features.feast.online import ReadRows, Row
from features.inputs import on_demand
from features.inputs.batch_rows import UNREAD, unusable
from features.inputs.bins import shortened
from features.inputs.columns import at, check_inputs, features_of, input_columns, list_columns
from features.plan import BatchView, OnDemand, Plan
from features.service import Function
from schemas.features import Value
from serving.predict.message import decoder

Columns = dict[str, Sequence[Any]]
Vector = tuple[Value, ...]


class Needed(NamedTuple):
    """What a model needs of its plan."""

    inputs: tuple[str, ...]
    """Its own, in its order, a list as its columns."""
    windows: tuple[str, ...]
    """Window features, by full name."""
    event: tuple[str, ...]
    """Columns of the event: functions take them, and batch views are looked up by them."""
    on_demand: tuple[OnDemand, ...]
    batch: tuple[BatchView, ...]
    of_lists: dict[str, tuple[str, int]]
    """For each input that is a list's column: the feature, and the value's place from its end."""
    segments: tuple[str, ...]
    """Columns of the event that receipts alone carry."""


def needed_by(plan: Plan, inputs: Sequence[str], segments: tuple[str, ...] = ()) -> Needed:
    """What a model with these ``inputs``, whose receipts carry the ``segments``, needs.

    Raises `DefinitionError` where the plan does not give one of the inputs.
    """
    inputs = input_columns(plan, inputs)
    check_inputs(plan, inputs)
    places = list_columns(plan)
    of_lists = {name: places[name] for name in inputs if name in places}
    features = set(features_of(plan, inputs))
    views = tuple(v for v in plan.on_demand if not features.isdisjoint(f"{v.view}__{output}" for output in v.outputs))
    features |= {full for v in views for _, full in v.feature_inputs}
    batch = tuple(v for v in plan.batch if not features.isdisjoint(f"{v.view}__{name}" for name in v.features))
    event = [column for v in views for column in v.event_inputs] + [column for v in batch for column in v.key]
    windows = tuple(f.name for f in plan.window_features if f.name in features)
    return Needed(inputs, windows, tuple(dict.fromkeys(event)), views, batch, of_lists, segments)


class Vectors:
    """Decodes the messages of one plan, with what all of ``needs`` take of them and the ``known`` do not have."""

    def __init__(
        self, plan: Plan, needs: Iterable[Needed], functions: Mapping[str, Function], known: Vectors | None = None
    ) -> None:
        needs = list(needs)
        windows = {name for needed in needs for name in needed.windows}.difference(known._windows if known else ())
        taken = dict.fromkeys(column for needed in needs for column in needed.event)
        event = taken | dict.fromkeys(column for needed in needs for column in needed.segments)
        self._windows: tuple[str, ...] = tuple(f.name for f in plan.window_features if f.name in windows)
        self._event: tuple[str, ...] = tuple(column for column in event if known is None or column not in known._event)
        self._taken = frozenset(taken)
        self._functions = functions
        self.decode: Callable[[bytes | None], Any] = decoder(plan, self._event, self._windows)
        """The message with the fields that one of the models needs; raises `UnscorableError`."""

    @property
    def windows(self) -> tuple[str, ...]:
        """The window features that the messages have, in this order."""
        return self._windows

    @property
    def event(self) -> tuple[str, ...]:
        """The columns of the event that they have, in this order."""
        return self._event

    @property
    def taken(self) -> frozenset[str]:
        """Those of them that a model takes: receipts carry the others, null where they are not known."""
        return self._taken

    @property
    def has_fields(self) -> bool:
        """Whether the messages have any field of events or windows."""
        return bool(self._windows or self._event)

    def events(self, messages: Sequence[Any], featured_at: Sequence[int]) -> Events:
        """What was decoded, as columns. ``featured_at`` are the times of the messages' records."""
        return Events(messages, featured_at, *self._as_columns(messages), {}, self._functions)

    def of_rows(
        self, messages: Sequence[Any], featured_at: Sequence[int], features: Sequence[Vector], event: Sequence[Vector]
    ) -> Events:
        """What was not decoded here: rows of the values of `windows` and of `event`, in their order."""
        return Events(messages, featured_at, _columns(self._windows, features), _columns(self._event, event), {}, self._functions)

    def extend(self, events: Events, messages: Sequence[Any]) -> None:
        """Add what was decoded of the same events."""
        events.extend(*self._as_columns(messages))

    def _as_columns(self, messages: Sequence[Any]) -> tuple[Columns, Columns]:
        return (
            _columns(self._windows, [msgspec.structs.astuple(m.features) for m in messages]),
            _columns(self._event, [msgspec.structs.astuple(m.event) for m in messages]),
        )


class OfBatch(NamedTuple):
    """What a batch view gave some events."""

    as_of: Sequence[int | None]
    """The time of each event's row; None where there is none."""
    reasons: Sequence[str | None]
    """Why it has no row to use; None where it has."""


class Events:
    """Some events, and what is known of them so far. One thread at a time may have it."""

    def __init__(
        self,
        messages: Sequence[Any],
        featured_at: Sequence[int],
        columns: Columns,
        event: Columns,
        batch: dict[str, OfBatch],
        functions: Mapping[str, Function],
    ) -> None:
        self.messages = messages
        self.featured_at = featured_at
        self._columns = columns
        self._event = event
        self._batch = batch
        self._functions = functions
        self._vectors: dict[tuple[str, ...], list[Vector]] = {}
        self._receipts: dict[tuple[str, ...], tuple[Sequence[dict[str, int]], Sequence[dict[str, str]]]] = {}

    def __len__(self) -> int:
        return len(self.messages)

    def extend(self, columns: Columns, event: Columns) -> None:
        """Add window features, and columns of the events."""
        self._columns |= columns
        self._event |= event

    def look_up(self, needed: Needed, rows: ReadRows) -> None:
        """Read the rows of the batch views that a model needs, where none did so before. What ``rows`` raises is not caught."""
        for view in needed.batch:
            if view.view in self._batch:
                continue
            self._take(view, rows(view, self._keys(view)))

    def leave_out(self, needed: Needed, kept: KeptRows) -> None:
        """Go on without the rows that cannot be looked up and are not ``kept``: null, and the receipts say why."""
        for view in needed.batch:
            if view.view not in self._batch:
                found = kept(view, self._keys(view))
                self._take(view, [one.row for one in found])
                of = self._batch[view.view]
                reasons = [why if one.is_known else UNREAD for one, why in zip(found, of.reasons, strict=True)]
                self._batch[view.view] = of._replace(reasons=reasons)

    def vectors(self, needed: Needed) -> list[Vector]:
        """The input vectors of a model, a row each, once its batch views are looked up.

        Each on-demand function is called for whole columns, once for all models. Raises `DefinitionError` where one fails.
        """
        if needed.inputs not in self._vectors:
            self._complete(needed)
            self._vectors[needed.inputs] = list(zip(*map(self._columns.__getitem__, needed.inputs), strict=True))
        return self._vectors[needed.inputs]

    def batch_of(self, needed: Needed) -> tuple[Sequence[dict[str, int]], Sequence[dict[str, str]]]:
        """For each event, the times of the batch rows of a model's views, and why there is no row to use, both by view."""
        views = tuple(view.view for view in needed.batch)
        if views not in self._receipts:
            as_of = _by_view(views, [self._batch[view].as_of for view in views], len(self))
            self._receipts[views] = as_of, _by_view(views, [self._batch[view].reasons for view in views], len(self))
        return self._receipts[views]

    def segments(self, needed: Needed) -> list[Vector]:
        """What receipts carry of the events' columns, a row each, in the order of ``needed.segments``."""
        return list(zip(*(map(shortened, self._event[name]) for name in needed.segments), strict=True))

    def some(self, places: Sequence[int]) -> Events:
        """Those at these places, and what is known of them."""

        def pick(values: Sequence[Any]) -> list[Any]:
            return [values[place] for place in places]

        return Events(
            pick(self.messages),
            pick(self.featured_at),
            {name: pick(column) for name, column in self._columns.items()},
            {name: pick(column) for name, column in self._event.items()},
            {view: OfBatch(pick(found.as_of), pick(found.reasons)) for view, found in self._batch.items()},
            self._functions,
        )

    def _keys(self, view: BatchView) -> list[Key]:
        return list(zip(*(self._event[column] for column in view.key), strict=True))

    def _take(self, view: BatchView, found: Sequence[Row | None]) -> None:
        """The row of a view that each event has."""
        absent = (None,) * len(view.features)
        as_of = [None if row is None else row.as_of for row in found]
        reasons = [unusable(view, m.event_time, time) for m, time in zip(self.messages, as_of, strict=True)]
        used = [absent if row is None or why else row.values for row, why in zip(found, reasons, strict=True)]
        self._columns |= _columns([f"{view.view}__{name}" for name in view.features], used)
        self._batch[view.view] = OfBatch(as_of, reasons)

    def _complete(self, needed: Needed) -> None:
        columns = self._columns
        for view in needed.on_demand:
            if f"{view.view}__{view.outputs[0]}" not in columns:
                columns |= on_demand.call(view, self._functions[view.view], self._event, columns, list, len(self))
        for column, (feature, place) in needed.of_lists.items():
            if column not in columns:
                columns[column] = [at(values, place) for values in columns[feature]]


def together(parts: Sequence[Events]) -> Events:
    """The events of several polls, in their order, all of the same `Vectors`, with what is known of all of them."""
    if len(parts) == 1:
        return parts[0]
    views = set.intersection(*(set(part._batch) for part in parts))
    batch = {view: OfBatch(*map(_chained, zip(*(part._batch[view] for part in parts), strict=True))) for view in views}
    return Events(
        _chained([part.messages for part in parts]),
        _chained([part.featured_at for part in parts]),
        _joined([part._columns for part in parts]),
        _joined([part._event for part in parts]),
        batch,
        parts[0]._functions,
    )


def _joined(parts: Sequence[Columns]) -> Columns:
    names = set.intersection(*map(set, parts))
    return {name: _chained([part[name] for part in parts]) for name in names}


def _chained(columns: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(columns))


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if names and rows else dict.fromkeys(names, ())


def _by_view(views: Sequence[str], found: Sequence[Sequence[Any]], count: int) -> list[dict[str, Any]]:
    """A dict for each of ``count`` events, with what is not None."""
    if not views:
        return [{}] * count
    return [
        {view: one for view, one in zip(views, of_event, strict=True) if one is not None} for of_event in zip(*found, strict=True)
    ]
