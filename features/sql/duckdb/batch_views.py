"""Rows of a batch view beside the queries of history, as DuckDB SQL: the point-in-time join."""

from __future__ import annotations

from features.inputs.batch_rows import MISSING, TOO_OLD
from features.plan import BatchView, Plan
from features.sql.quoting import quoted


def as_of_column(view: BatchView) -> str:
    """The column with the time of the row that was found, UTC milliseconds; null where there is none."""
    return f"_as_of_{view.view}"


def incomplete_column(view: BatchView) -> str:
    """The column that says why there is no row, as `features.inputs.batch_rows.unusable` does; null where there is one."""
    return f"_incomplete_{view.view}"


def batch_sql(plan: Plan, view: BatchView, rows: str) -> str:
    """For each query, ordered by ``_row``: the view's features by full name, and the two columns above.

    ``rows`` is SQL of the view's rows as a table. A query has the newest row at or before it, so there is no row that is too new.
    """
    spine, time = quoted(plan.spine), quoted(plan.spine_source.time)
    keys = " AND ".join(f"_spine.{quoted(key)} = _view.{quoted(key)}" for key in view.key)
    too_old = f" WHEN _spine.{time} - _as_of > {view.ttl_ms} THEN '{TOO_OLD}'" if view.ttl_ms else ""
    features = [f"CASE WHEN _why IS NULL THEN {quoted(name)} END AS {quoted(f'{view.view}__{name}')}" for name in view.features]
    columns = [*features, f"_as_of AS {quoted(as_of_column(view))}", f"_why AS {quoted(incomplete_column(view))}"]
    names = ", ".join(f"_view.{quoted(name)}" for name in view.features)
    return (
        f"SELECT {', '.join(columns)} FROM ("
        f"SELECT _spine._row, {names}, _as_of, CASE WHEN _as_of IS NULL THEN '{MISSING}'{too_old} END AS _why "
        f"FROM (SELECT * FROM {spine} WHERE _row IS NOT NULL) AS _spine "
        f"ASOF LEFT JOIN (SELECT *, epoch_ms({quoted(view.timestamp)}) AS _as_of FROM {rows}) AS _view "
        f"ON {keys} AND _spine.{time} >= _view._as_of) ORDER BY _row"
    )
