"""From the messages of one poll to the input vectors of a model: completed by batch views and on-demand functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from features.feast.online import ReadRows
from features.inputs import on_demand
from features.inputs.batch_rows import unusable
from features.inputs.columns import at, check_inputs, input_columns, list_columns
from features.plan import BatchView, OnDemand, Plan
from features.service import Function
from schemas.features import Value
from serving.predict.message import decoder

Columns = dict[str, Sequence[Any]]


class Needed(NamedTuple):
    """What a model needs of its plan."""

    windows: tuple[str, ...]
    """Window features, by full name."""
    event: tuple[str, ...]
    """Columns of the event: functions take them, and batch views are looked up by them."""
    on_demand: tuple[OnDemand, ...]
    batch: tuple[BatchView, ...]
    of_lists: dict[str, tuple[str, int]]
    """For each input that is a list's column: the feature, and the value's place from its end."""


class Known(NamedTuple):
    """What is known of some events before a function is called."""

    columns: Columns
    """Window and batch features, by full name."""
    event: Columns
    """Columns of the events themselves."""
    batch_as_of: Sequence[dict[str, int]]
    """For each event, the times of its batch rows, by view."""
    incomplete: Sequence[dict[str, str]]
    """For each event, why it has no batch row to use, by view."""


class Vectors:
    """Makes the input vectors of one model of one plan; ``inputs`` are the model's, in its order, a list as its columns.

    Raises `DefinitionError` where the plan does not give one of them.
    """

    def __init__(self, plan: Plan, inputs: Sequence[str], functions: Mapping[str, Function]) -> None:
        self.inputs = input_columns(plan, inputs)
        check_inputs(plan, self.inputs)
        self._needed = needed = needed_by(plan, self.inputs)
        self.batch, self.on_demand = needed.batch, needed.on_demand
        self._functions = functions
        self._batch = [(v, [f"{v.view}__{name}" for name in v.features], (None,) * len(v.features)) for v in needed.batch]
        self.decode: Callable[[bytes | None], Any] = decoder(plan, needed.event, needed.windows)
        """The message with the fields that this model needs; raises `UnscorableError`."""

    def look_up(self, messages: Sequence[Any], rows: ReadRows) -> Known:
        """The messages turned into columns, and the rows of the batch views beside them."""
        columns = _columns(self._needed.windows, [msgspec.structs.astuple(m.features) for m in messages])
        event = _columns(self._needed.event, [msgspec.structs.astuple(m.event) for m in messages])
        batch_as_of: list[dict[str, int]] = [{} for _ in messages]
        incomplete: list[dict[str, str]] = [{} for _ in messages]
        for view, names, absent in self._batch:
            found = rows(view, list(zip(*(event[column] for column in view.key), strict=True)))
            used = []
            for message, row, as_of, reasons in zip(messages, found, batch_as_of, incomplete, strict=True):
                if row is not None:
                    as_of[view.view] = row.as_of
                reason = unusable(view, message.event_time, None if row is None else row.as_of)
                if reason is not None:
                    reasons[view.view] = reason
                used.append(absent if row is None or reason is not None else row.values)
            columns |= _columns(names, used)
        return Known(columns, event, batch_as_of, incomplete)

    def complete(self, known: Known) -> Sequence[tuple[Value, ...]]:
        """The input vectors, a row for each event. Every on-demand function is called once, for whole columns."""
        columns, count = dict(known.columns), len(known.batch_as_of)
        for view in self.on_demand:
            columns |= on_demand.call(view, self._functions[view.view], known.event, columns, list, count)
        for column, (feature, place) in self._needed.of_lists.items():
            columns[column] = [at(values, place) for values in columns[feature]]
        return list(zip(*(columns[name] for name in self.inputs), strict=True))


def needed_by(plan: Plan, inputs: Sequence[str]) -> Needed:
    """What a model with these ``inputs`` needs; a list is its columns."""
    places = list_columns(plan)
    of_lists = {name: places[name] for name in inputs if name in places}
    features = {of_lists[name][0] if name in of_lists else name for name in inputs}
    views = tuple(v for v in plan.on_demand if not features.isdisjoint(f"{v.view}__{output}" for output in v.outputs))
    features |= {full for v in views for _, full in v.feature_inputs}
    batch = tuple(v for v in plan.batch if not features.isdisjoint(f"{v.view}__{name}" for name in v.features))
    event = [column for v in views for column in v.event_inputs] + [column for v in batch for column in v.key]
    windows = tuple(f.name for f in plan.window_features if f.name in features)
    return Needed(windows, tuple(dict.fromkeys(event)), views, batch, of_lists)


def slice_of(known: Known, part: slice) -> Known:
    """What is known of some of the events."""
    return Known(
        {name: column[part] for name, column in known.columns.items()},
        {name: column[part] for name, column in known.event.items()},
        known.batch_as_of[part],
        known.incomplete[part],
    )


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if names else {}
