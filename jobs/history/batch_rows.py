"""What the events of a table of features had of batch views: how many had no row to use, and how old the rows were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from features.inputs.batch_rows import MISSING, STALE_MS, TOO_OLD
from features.plan import BatchView, Plan
from features.sql.duckdb.batch_views import as_of_column, incomplete_column
from features.times import duration_text, short_duration_text


class BatchRows(msgspec.Struct, frozen=True):
    """The rows of one batch view that some events had."""

    view: str
    events: int
    missing: int
    """Events without a row at or before them."""
    too_old: int
    """Events whose row is older than the view's ttl, and is not used."""
    stale: int
    """Events whose row is older than two days, and is used, as the view has no ttl."""
    stale_keys: int
    """How many keys these are of."""
    oldest_ms: int
    """The greatest age of the rows that were used, in milliseconds."""
    ttl_ms: int

    @property
    def incomplete(self) -> int:
        """Events without a row to use."""
        return self.missing + self.too_old


class Counted:
    """Counts the rows of batch views while tables of events go by, each as `jobs.history.compute.compute` gives it."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._found = plan, {view.view: _Count() for view in plan.batch}

    def of(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """``tables``, as they are."""
        for table in tables:
            for view in self._plan.batch:
                self._found[view.view].add(self._plan, view, table)
            yield table

    def rows(self) -> tuple[BatchRows, ...]:
        """Of each batch view of the plan, what has gone by."""
        return tuple(self._found[view.view].rows(view) for view in self._plan.batch)


def batch_rows(plan: Plan, table: pa.Table) -> tuple[BatchRows, ...]:
    """Of each batch view of the plan; ``table`` is as `jobs.history.compute.compute` gives it."""
    counted = Counted(plan)
    list(counted.of([table]))
    return counted.rows()


def warnings(found: Iterable[BatchRows], service: str, what: str = "events") -> Iterator[str]:
    """What is to be said of them, a line for each view that is not as it should be."""
    for one in found:
        said = []
        if one.missing:
            said.append(f"{one.missing:,} have no row")
        if one.too_old:
            said.append(f"{one.too_old:,} have a row older than its ttl of {duration_text(one.ttl_ms)}")
        if one.stale:
            age = short_duration_text(one.oldest_ms)
            said.append(f"{one.stale:,} of {one.stale_keys:,} keys have a row older than {duration_text(STALE_MS)}, up to {age}")
        if said:
            advice = f"compute days with 'headrace batch-views {service} --from DAY --to DAY'"
            yield f"batch view '{one.view}': of {one.events:,} {what}, {'; '.join(said)}; {advice}"


class _Count:
    """What has been counted of one view."""

    def __init__(self) -> None:
        self.events = self.missing = self.too_old = self.stale = self.oldest_ms = 0
        self.stale_keys: set[tuple[Any, ...]] = set()

    def add(self, plan: Plan, view: BatchView, table: pa.Table) -> None:
        reasons, as_of = table[incomplete_column(view)], table[as_of_column(view)]
        used = pc.is_null(reasons)
        ages = pc.subtract(table[plan.spine_source.time], as_of)
        stale = pc.and_(used, pc.greater(ages, STALE_MS)) if not view.ttl_ms else pa.array([False] * table.num_rows)
        keys = table.select(list(view.key)).filter(stale).group_by(list(view.key)).aggregate([])
        self.stale_keys |= set(zip(*(keys[name].to_pylist() for name in view.key), strict=True))
        self.events += table.num_rows
        self.missing += _count(pc.equal(reasons, MISSING))
        self.too_old += _count(pc.equal(reasons, TOO_OLD))
        self.stale += _count(stale)
        self.oldest_ms = max(self.oldest_ms, pc.max(ages.filter(used)).as_py() or 0)

    def rows(self, view: BatchView) -> BatchRows:
        return BatchRows(
            view=view.view,
            events=self.events,
            missing=self.missing,
            too_old=self.too_old,
            stale=self.stale,
            stale_keys=len(self.stale_keys),
            oldest_ms=self.oldest_ms,
            ttl_ms=view.ttl_ms,
        )


def _count(holds: pa.ChunkedArray) -> int:
    return pc.sum(holds).as_py() or 0
