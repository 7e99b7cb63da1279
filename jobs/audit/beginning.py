"""Windows that began empty: what history gives of the rows that were on the topics, and nothing from before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from features.inputs.columns import columns_of
from features.plan import Plan
from jobs.audit.served import Served
from jobs.audit.values import kinds_of, near_of, true_values


class Beginning:
    """History's values of a span from the topics' beginning on, computed when the first difference is to be explained by it.

    ::

        history   ● ● ●  ●  ●│●   ●  ● ●     whole window: 7 rows, of the topic alone: 4
        topic                │●   ●  ● ●
                        ╘════╪═══════╛ t     served 3, as the topic alone gives: the window began empty
    """

    def __init__(self, plan: Plan, table: Callable[[], pa.Table | None]) -> None:
        self._plan, self._of_span = plan, table
        self._kinds, self._lists = kinds_of(plan), columns_of(plan)
        self._table: pa.Table | None = None
        self._rows: dict[Any, int] | None = None
        self._values: dict[str, list[Any]] = {}

    def gives(self, one: Served, feature: str) -> bool:
        """Whether the rows from the topics' beginning on give what was served of ``feature``, within rule 7."""
        if self._rows is None:
            self._table = self._of_span()
            ids = [] if self._table is None else self._table[self._plan.spine_source.event_id].to_pylist()
            self._rows = {event: row for row, event in enumerate(ids)}
        row, near = self._rows.get(one.event_id), near_of(self._plan, self._kinds[feature])
        names = [name for name in (feature, *self._lists.get(feature, ())) if name in one.values]
        if row is None or not names:
            return False
        values = [(one.values[name], self._value(name, row)) for name in names]
        return all(ours == theirs or near(ours, theirs) for ours, theirs in values)

    def _value(self, name: str, row: int) -> Any:
        if name not in self._values:
            self._values |= true_values(self._table, self._plan, [name])
        return self._values[name][row]
