"""What the events of a table of features had of batch views: how many had no row to use, and how old the rows were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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


def batch_rows(plan: Plan, table: pa.Table) -> tuple[BatchRows, ...]:
    """Of each batch view of the plan; ``table`` is as `jobs.history.compute.compute` gives it."""
    return tuple(_of_view(plan, view, table) for view in plan.batch)


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


def _of_view(plan: Plan, view: BatchView, table: pa.Table) -> BatchRows:
    reasons, as_of = table[incomplete_column(view)], table[as_of_column(view)]
    used = pc.is_null(reasons)
    ages = pc.subtract(table[plan.spine_source.time], as_of)
    stale = pc.and_(used, pc.greater(ages, STALE_MS)) if not view.ttl_ms else pa.array([False] * table.num_rows)
    keys = table.select(list(view.key)).filter(stale).group_by(list(view.key)).aggregate([])
    return BatchRows(
        view=view.view,
        events=table.num_rows,
        missing=_count(pc.equal(reasons, MISSING)),
        too_old=_count(pc.equal(reasons, TOO_OLD)),
        stale=_count(stale),
        stale_keys=keys.num_rows,
        oldest_ms=pc.max(ages.filter(used)).as_py() or 0,
        ttl_ms=view.ttl_ms,
    )


def _count(holds: pa.ChunkedArray) -> int:
    return pc.sum(holds).as_py() or 0
