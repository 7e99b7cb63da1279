"""Which row of a batch view an event may have: none of its future, none older than the view's ttl.

It is rule 9 of docs/windows.md. History says the same in SQL (`features.sql.duckdb.batch_views`).
"""

from __future__ import annotations

from features.plan import BatchView
from features.times import DAY_MS

MISSING, TOO_OLD, TOO_NEW = "missing", "too_old", "too_new"
"""Why an event has no row: there is none, or it is not used."""
UNREAD = "unread"
"""Nor does it have one where the online store does not answer, and the HTTP service scores all the same."""
STALE_MS = 2 * DAY_MS
"""A row that is older than this is worth a warning, where the view has no ttl: rows are computed daily."""


def unusable(view: BatchView, event_time: int, as_of: int | None) -> str | None:
    """Why an event has no row of the view, where its newest is of ``as_of``; None where that one is used. Times in milliseconds.

    >>> view = BatchView("v", ("k",), ("x",), "s", "", "", "day", ttl_ms=10)
    >>> [unusable(view, 100, as_of) for as_of in (None, 101, 100, 90, 89)]
    ['missing', 'too_new', None, None, 'too_old']
    """
    if as_of is None:
        return MISSING
    if as_of > event_time:
        return TOO_NEW
    if view.ttl_ms and event_time - as_of > view.ttl_ms:
        return TOO_OLD
    return None
