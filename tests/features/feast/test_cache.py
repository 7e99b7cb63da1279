"""The cache before the online store; without a store."""

from __future__ import annotations

from typing import Any

from features.feast.cache import Cached, Kept
from features.feast.keys import Key
from features.feast.online import Row
from features.plan import BatchView

VIEW = BatchView("v", ("k",), ("x",), "s", "", "", "day")


def test_cache_reads_each_distinct_key_once_until_it_expires() -> None:
    """Absent rows are remembered like others; the clock is in seconds."""
    read: list[list[Key]] = []
    now = [0.0]

    def rows(view: BatchView, keys: Any) -> list[Row | None]:
        read.append(list(keys))
        return [Row(1, (key[0],)) if key[0] else None for key in keys]

    cached = Cached(rows, seconds=10, size=100, clock=lambda: now[0])
    assert cached(VIEW, [(1,), (0,), (1,)]) == [Row(1, (1,)), None, Row(1, (1,))]
    assert cached(VIEW, [(0,), (2,), (1,)]) == [None, Row(1, (2,)), Row(1, (1,))]
    now[0] = 10.0
    cached(VIEW, [(1,), (2,)])
    assert read == [[(1,), (0,)], [(2,)], [(1,), (2,)]]


def test_what_is_cached_is_told_without_a_store() -> None:
    """Until it expires; an absent row is known too, and a view of which nothing was wanted has nothing."""
    now = [0.0]
    cached = Cached(lambda view, keys: [Row(1, key) if key[0] else None for key in keys], 10, 100, lambda: now[0])
    assert cached.kept(VIEW, [(1,)]) == [Kept(is_known=False, row=None)]
    cached(VIEW, [(1,), (0,)])
    assert cached.kept(VIEW, [(0,), (2,), (1,)]) == [Kept(True, None), Kept(False, None), Kept(True, Row(1, (1,)))]
    now[0] = 10.0
    assert cached.kept(VIEW, [(1,)]) == [Kept(is_known=False, row=None)]


def test_cache_keeps_what_was_wanted_last() -> None:
    """Beyond its size, the row that was wanted the longest ago goes."""
    read: list[Key] = []

    def rows(view: BatchView, keys: Any) -> list[Row | None]:
        read.extend(keys)
        return [None for _ in keys]

    cached = Cached(rows, seconds=10, size=2, clock=lambda: 0.0)
    for key in (1, 2, 1, 3, 1, 2):
        cached(VIEW, [(key,)])
    assert read == [(1,), (2,), (3,), (2,)]
