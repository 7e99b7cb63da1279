"""Served against true: every value that was served held against history's for the same event, and each difference explained.

It is one comparison for the audit of a service, an event that is explained, the end-to-end run and the tests of the stream.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from features.inputs.columns import all_features, list_columns
from features.plan import Plan
from features.service import Function
from jobs.audit.causes import Began, Causes, LedgerOf, WasWhole
from jobs.audit.comparison import EXAMPLES, UNEXPLAINED, Cause, Compared, Comparison, Hour
from jobs.audit.ledger import Ledger
from jobs.audit.served import Served, of_vector
from jobs.audit.values import Difference, kinds_of, near_of, true_values
from schemas import FeatureVector

HOUR_MS = 3_600_000


def compare(plan: Plan, table: pa.Table, vectors: Iterable[FeatureVector], ledger: Ledger | None = None) -> Comparison:
    """Hold feature vectors against ``table``, as `jobs.history.compute.compute` gives it with all of the windows' features.

    ``ledger``: of the late rows of the vectors' time, by `jobs.audit.ledger.ledger_of`.
    """
    tally = Tally(plan, {})
    tally.add(table, [of_vector(vector) for vector in vectors], lambda places: ledger or {})
    return tally.comparison


class Tally:
    """Compares span after span, and adds up.

    ``functions``: the on-demand functions, by view. ``was_whole`` says of an event whether its windows were whole, where its
    receipt doesn't.
    """

    def __init__(self, plan: Plan, functions: Mapping[str, Function], was_whole: WasWhole = lambda one: True) -> None:
        self.comparison = Comparison()
        self.causes = Causes(plan, functions, was_whole)
        self._plan = plan
        self._kinds = kinds_of(plan)
        lists = list_columns(plan)
        self._feature = {name: name for name in all_features(plan)} | {column: name for column, (name, _) in lists.items()}
        self._results: dict[str, Compared] = {}

    def add(
        self, table: pa.Table, served: Sequence[Served], ledger_of: LedgerOf, began: Began = lambda: None
    ) -> list[tuple[Difference, Cause]]:
        """Compare ``served``, each event once, with ``table``; gives the differences with their causes.

        ``table`` is as `jobs.history.compute.compute` gives it: of the served features, and of those that they are made of.
        ``began`` gives the same of the rows that the topics began with.
        """
        rows = {event: row for row, event in enumerate(table[self._plan.spine_source.event_id].to_pylist())}
        found = [one for one in served if one.event_id in rows]
        self._note_unknown([one.event_id for one in served if one.event_id not in rows])
        self.comparison.events += len(found)
        explained = self.causes.explain(table, self._differences(table, rows, found), ledger_of, began)
        for difference, cause in explained:
            self._count(difference, cause)
        order = [*all_features(self._plan), *self._results]
        self.comparison.features = sorted(self._results.values(), key=lambda one: order.index(one.name))
        return explained

    def _note_unknown(self, events: list[int | str]) -> None:
        known = self.comparison.not_in_history_ids
        self.comparison.not_in_history += len(events)
        known += events[: EXAMPLES - len(known)]

    def _differences(self, table: pa.Table, rows: Mapping[Any, int], found: Sequence[Served]) -> list[Difference]:
        """The values that are further apart than rule 7 says. Events of the same inputs go together: models differ."""
        alike = defaultdict(list)
        for one in found:
            alike[tuple(one.values)].append(one)
        differences: list[Difference] = []
        for names, some in alike.items():
            features = defaultdict(list)
            for name in names:
                features[self._feature.get(name, name)].append(name)
            places = [rows[one.event_id] for one in some]
            true = true_values(table.take(places), self._plan, [name for name in names if name in self._feature])
            for feature, columns in features.items():
                self._result(feature).values += len(some)
                differences += self._of_feature(feature, columns, some, places, true)
            for one in some:
                self._hour(one).values += len(features)
        return differences

    def _of_feature(
        self, feature: str, columns: Sequence[str], some: Sequence[Served], rows: Sequence[int], true: Mapping[str, Sequence[Any]]
    ) -> Iterator[Difference]:
        """A value that is several columns, a list's, differs once."""
        near, seen = near_of(self._plan, self._kinds.get(feature)), set()
        for column in columns:
            theirs = true.get(column)
            for place, one in enumerate(some):
                ours, value = one.values[column], "no such feature" if theirs is None else theirs[place]
                if ours != value and not near(ours, value) and place not in seen:
                    seen.add(place)
                    yield Difference(one, rows[place], feature, ours, value)

    def _count(self, difference: Difference, cause: Cause) -> None:
        one, result = difference.served, self._result(difference.feature)
        result.differing += 1
        result.causes[cause] += 1
        hour = self._hour(one)
        hour.causes[cause] = hour.causes.get(cause, 0) + 1
        if cause == UNEXPLAINED and len(result.examples) < EXAMPLES:
            text = f"event {one.event_id} {difference.feature}: served {difference.ours!r}, history {difference.theirs!r}"
            result.examples.append(text)

    def _result(self, feature: str) -> Compared:
        if feature not in self._results:
            kind = self._kinds.get(feature)
            of = "" if kind is None else kind[0].name if isinstance(kind, tuple) else kind.view
            self._results[feature] = Compared(feature, of or "not in the definitions")
        return self._results[feature]

    def _hour(self, one: Served) -> Hour:
        return self.comparison.hours.setdefault(one.event_time // HOUR_MS * HOUR_MS, Hour())
