"""Feast's SQLite and Redis stores, but a client of Feast's is given nothing for a row of a stream view whose time is over.

A window's value changes when a row leaves it, though nothing comes. In feature_store.yaml::

    online_store:
      type: features.feast.online_stores.FreshRedisOnlineStore
      connection_string: localhost:6379

Feast finds a store's settings by the class's name with ``Config`` behind it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from importlib import import_module
from typing import Any, Literal

from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig

from features.feast.hooks import is_windowed
from features.plan import VALID_UNTIL

Found = tuple[datetime | None, dict[str, Any] | None]


class FreshSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):  # type: ignore[misc]
    """The settings of Feast's store."""

    type: Literal["features.feast.online_stores.FreshSqliteOnlineStore"] = "features.feast.online_stores.FreshSqliteOnlineStore"


class FreshSqliteOnlineStore(SqliteOnlineStore):  # type: ignore[misc]
    """Feast's SQLite store, for rows that are valid now."""

    def online_read(self, config: Any, table: Any, entity_keys: Any, requested_features: list[str] | None = None) -> list[Found]:
        """What there is of each key; of a row whose time is over, only when that was."""
        found = super().online_read(config, table, entity_keys, requested_features)
        return fresh(found, time.time() * 1000) if is_windowed(table) else found


def fresh(rows: Iterable[Found], now: float) -> list[Found]:
    """``rows``, but of those that were valid until ``now`` (UTC milliseconds) or before nothing but that time."""
    return [(at, _marked(values, now)) for at, values in rows]


def _marked(values: dict[str, Any] | None, now: float) -> dict[str, Any] | None:
    until = values.get(VALID_UNTIL) if values else None
    if until is None or until.WhichOneof("val") is None or now < until.int64_val:
        return values
    return {VALID_UNTIL: until}


def __getattr__(name: str) -> Any:
    """The Redis store and its settings, which Feast looks up here: SQLite does without the packages of the extra ``redis``."""
    if name in {"FreshRedisOnlineStore", "FreshRedisOnlineStoreConfig"}:
        return getattr(import_module("features.feast.online_redis"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
