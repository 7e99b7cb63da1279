"""Why a served value is not the true one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import pyarrow as pa

from features.inputs import on_demand
from features.inputs.arrow import to_list
from features.inputs.batch_rows import TOO_NEW
from features.inputs.columns import columns_of
from features.plan import BatchView, OnDemand, Plan, Stage, WindowFeature
from features.service import Function
from features.sql.duckdb.batch_views import as_of_column
from jobs.audit.beginning import Beginning
from jobs.audit.comparison import BEGAN_EMPTY, CAUSES, UNEXPLAINED, Cause
from jobs.audit.ledger import Ledger, Place
from jobs.audit.served import Served
from jobs.audit.values import Difference, in_json, kinds_of

LedgerOf = Callable[[set[Place]], Ledger]
"""Gives the ledger of some places: there may be more of it than memory."""
WasWhole = Callable[[Served], bool]
"""Whether the windows of an event were whole, by its feature vector."""
Began = Callable[[], pa.Table | None]
"""Gives history's values of the rows from the topics' beginning on; None where windows are not known to have begun empty."""
NEVER = -1
"""The time of a batch row that there is none of."""


class Causes:
    """Explains differences. Late rows of a place explain as many values as the ledger says they changed, over all spans."""

    def __init__(self, plan: Plan, functions: Mapping[str, Function], was_whole: WasWhole) -> None:
        self._plan = plan
        self._functions = functions
        self._was_whole = was_whole
        self._kinds = kinds_of(plan)
        self._used: dict[Place, int] = {}

    def explain(
        self, table: pa.Table, differences: Sequence[Difference], ledger_of: LedgerOf, began: Began
    ) -> list[tuple[Difference, Cause]]:
        """The differences with their causes; those of on-demand functions whose inputs differ within rule 7 are none."""
        span = _Span(self, table, differences, ledger_of, began)
        return [(one, cause) for one in differences for cause in [span.cause(one)] if cause is not None]


class _Event(NamedTuple):
    """An event of the span, and its row in the true values."""

    served: Served
    row: int


class _Span:
    """The differences of one span, and what explains them."""

    def __init__(
        self, whole: Causes, table: pa.Table, differences: Sequence[Difference], ledger_of: LedgerOf, began: Began
    ) -> None:
        self._plan, self._kinds = whole._plan, whole._kinds
        self._functions, self._was_whole, self._used = whole._functions, whole._was_whole, whole._used
        self._table = table
        self._columns: dict[str, list[Any]] = {}
        self._lists = columns_of(self._plan)
        self._of_event: dict[tuple[Any, str], Difference] = {(one.served.event_id, one.feature): one for one in differences}
        self._known: dict[tuple[Any, str], Cause | None] = {}
        self._vectors: dict[Any, bool] = {}
        self._beginning = Beginning(self._plan, began)
        self._ledger = ledger_of({place for one in differences for place in self._places(one)}) if differences else {}

    def cause(self, one: Difference) -> Cause | None:
        """The first cause that applies; None: an on-demand function was given values that are as near as rule 7 says."""
        at = one.served.event_id, one.feature
        if at not in self._known:
            self._known[at] = self._find(one)
        return self._known[at]

    def _find(self, one: Difference) -> Cause | None:
        event, kind = _Event(one.served, one.row), self._kinds.get(one.feature)
        if one.served.plan != self._plan.short_digest:
            return "changed_definition"
        if isinstance(kind, tuple):
            return self._of_window(event, *kind, count=True)
        if isinstance(kind, BatchView):
            return self._of_batch(event, kind)
        return UNEXPLAINED if kind is None else self._of_function(event, kind, one)

    def _of_window(self, event: _Event, stage: Stage, feature: WindowFeature, *, count: bool) -> Cause:
        """``count``: the late rows explain one value less from now on."""
        one = event.served
        if one.whole is False:
            return "incomplete"
        place = self._place(event, stage, feature)
        missed = self._ledger.get(place)
        if missed and missed.in_window(feature, one.event_time) and self._used.get(place, 0) < missed.values:
            self._used[place] = self._used.get(place, 0) + count
            return "late_row"
        if one.whole is None and not self._whole(one):
            return "incomplete"
        return BEGAN_EMPTY if self._beginning.gives(one, feature.name) else UNEXPLAINED

    def _whole(self, one: Served) -> bool:
        """By the event's feature vector, which is looked up once, whatever number of its values differ."""
        if one.event_id not in self._vectors:
            self._vectors[one.event_id] = self._was_whole(one)
        return self._vectors[one.event_id]

    def _of_batch(self, event: _Event, view: BatchView) -> Cause:
        """The row online may come after the event, or be of its future; then the receipt says so."""
        one = event.served
        if one.incomplete.get(view.view) == TOO_NEW:
            return "incomplete"
        true = self._value(as_of_column(view), event.row)
        return "late_batch_row" if one.batch_as_of.get(view.view, NEVER) < (NEVER if true is None else true) else UNEXPLAINED

    def _of_function(self, event: _Event, view: OnDemand, one: Difference) -> Cause | None:
        """What explains its inputs explains it, where the function gives what was served of what was served."""
        inputs = [full for _, full in view.feature_inputs]
        served = {name: self._served(event.served, name) for name in inputs}
        differing = [self._of_event[at] for name in inputs for at in [(event.served.event_id, name)] if at in self._of_event]
        causes = [cause for cause in map(self.cause, differing) if cause is not None]
        if any(value is None for value in served.values()):  # a model need not have the function's inputs
            causes += [self._possible(event, name) for name, value in served.items() if value is None]
            cause = min(causes, key=CAUSES.index)
            return BEGAN_EMPTY if cause == UNEXPLAINED and self._beginning.gives(event.served, one.feature) else cause
        given = {name: value for name, value in served.items() if value is not None}
        if in_json(self._again(event, view, given)[one.feature]) != [one.ours]:
            return UNEXPLAINED
        return max(causes, key=CAUSES.index, default=None)

    def _possible(self, event: _Event, name: str) -> Cause:
        """What would explain a difference in a value that was not served as such."""
        kind = self._kinds.get(name)
        if isinstance(kind, tuple):
            return self._of_window(event, *kind, count=False)
        return self._of_batch(event, kind) if isinstance(kind, BatchView) else UNEXPLAINED

    def _again(self, event: _Event, view: OnDemand, features: Mapping[str, list[Any]]) -> Mapping[str, list[Any]]:
        """What the function gives of the served values."""
        columns = {name: [self._value(name, event.row)] for name in view.event_inputs}
        return on_demand.call(view, self._functions[view.view], columns, features, list, 1)

    def _served(self, one: Served, name: str) -> list[Any] | None:
        """A served value as a column of one; a list from its columns. None where it was not served."""
        if name in one.values:
            return [one.values[name]]
        columns = self._lists.get(name, ())
        if not columns or not one.values.keys() >= set(columns):
            return None
        return [[value for value in map(one.values.__getitem__, columns) if value is not None]]

    def _places(self, one: Difference) -> Iterator[Place]:
        """The windows that a difference may be of."""
        event, kind = _Event(one.served, one.row), self._kinds.get(one.feature)
        names = [full for _, full in kind.feature_inputs] if isinstance(kind, OnDemand) else [one.feature]
        return chain.from_iterable(self._windows(event, names))

    def _windows(self, event: _Event, names: Iterable[str]) -> Iterator[list[Place]]:
        for name in names:
            kind = self._kinds.get(name)
            yield [self._place(event, *kind)] if isinstance(kind, tuple) else []

    def _place(self, event: _Event, stage: Stage, feature: WindowFeature) -> Place:
        return Place(stage.source, feature.view, tuple(self._value(name, event.row) for name in stage.key))

    def _value(self, column: str, row: int) -> Any:
        """Of the true values' table, as Python has it."""
        if column not in self._columns:
            self._columns[column] = to_list(self._table[column])
        return self._columns[column][row]
