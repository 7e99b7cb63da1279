"""Feast's SQLite and Redis stores, but a client of Feast's is given nothing for a row of a stream view whose time is over.

A window's value changes when a row leaves it, though nothing comes. In feature_store.yaml::

    online_store:
      type: features.feast.online_stores.FreshRedisOnlineStore
      connection_string: localhost:6379

Feast finds a store's settings by the class's name with ``Config`` behind it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig

from features.plan import VALID_UNTIL

Found = tuple[datetime | None, dict[str, Any] | None]
HERE = "features.feast.online_stores"


class FreshSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):  # type: ignore[misc]
    """The settings of Feast's store."""

    type: Literal["features.feast.online_stores.FreshSqliteOnlineStore"] = f"{HERE}.FreshSqliteOnlineStore"  # type: ignore[assignment]


class FreshSqliteOnlineStore(SqliteOnlineStore):  # type: ignore[misc]
    """Feast's SQLite store, for rows that are valid now."""

    def online_read(self, config: Any, table: Any, entity_keys: Any, requested_features: list[str] | None = None) -> list[Found]:
        """What there is of each key; of a row whose time is over, only when that was."""
        return fresh(super().online_read(config, table, entity_keys, requested_features), time.time() * 1000)


class FreshRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]
    """The settings of Feast's store."""

    type: Literal["features.feast.online_stores.FreshRedisOnlineStore"] = f"{HERE}.FreshRedisOnlineStore"  # type: ignore[assignment]


class FreshRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]
    """Feast's Redis store, for rows that are valid now."""

    # Feast's own reads all views at once, past `online_read`.
    _read_features_per_fv = OnlineStore._read_features_per_fv
    _read_features_per_fv_async = OnlineStore._read_features_per_fv_async

    def online_read(self, config: Any, table: Any, entity_keys: Any, requested_features: list[str] | None = None) -> list[Found]:
        """What there is of each key; of a row whose time is over, only when that was."""
        return fresh(super().online_read(config, table, entity_keys, _with_time(requested_features)), time.time() * 1000)

    async def online_read_async(
        self, config: Any, table: Any, entity_keys: Any, requested_features: list[str] | None = None
    ) -> list[Found]:
        """The same."""
        return fresh(
            await super().online_read_async(config, table, entity_keys, _with_time(requested_features)), time.time() * 1000
        )


def fresh(rows: Iterable[Found], now: float) -> list[Found]:
    """``rows``, but of those that were valid until ``now`` (UTC milliseconds) or before nothing but that time."""
    return [(at, _marked(values, now)) for at, values in rows]


def _marked(values: dict[str, Any] | None, now: float) -> dict[str, Any] | None:
    until = values.get(VALID_UNTIL) if values else None
    if until is None or until.WhichOneof("val") is None or now < until.int64_val:
        return values
    return {VALID_UNTIL: until}


def _with_time(features: Sequence[str] | None) -> list[str] | None:
    """A list of our own: Feast 0.67 appends to what it is given."""
    return None if features is None else list(dict.fromkeys([*features, VALID_UNTIL]))
