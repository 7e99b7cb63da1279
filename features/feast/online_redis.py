"""The Redis store of `features.feast.online_stores`, in a module of its own: it needs the packages of the extra ``redis``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig

from features.feast.hooks import is_windowed
from features.feast.online_stores import Found, fresh
from features.plan import VALID_UNTIL


class FreshRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]
    """The settings of Feast's store."""

    type: Literal["features.feast.online_stores.FreshRedisOnlineStore"] = "features.feast.online_stores.FreshRedisOnlineStore"


class FreshRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]
    """Feast's Redis store, for rows that are valid now."""

    # Feast's own reads all views at once, past `online_read`.
    _read_features_per_fv = OnlineStore._read_features_per_fv
    _read_features_per_fv_async = OnlineStore._read_features_per_fv_async

    def online_read(self, config: Any, table: Any, entity_keys: Any, requested_features: list[str] | None = None) -> list[Found]:
        """What there is of each key; of a row whose time is over, only when that was."""
        if not is_windowed(table):
            return super().online_read(config, table, entity_keys, requested_features)  # type: ignore[no-any-return]
        return fresh(super().online_read(config, table, entity_keys, _with_time(requested_features)), time.time() * 1000)

    async def online_read_async(
        self, config: Any, table: Any, entity_keys: Any, requested_features: list[str] | None = None
    ) -> list[Found]:
        """The same."""
        if not is_windowed(table):
            return await super().online_read_async(config, table, entity_keys, requested_features)  # type: ignore[no-any-return]
        return fresh(
            await super().online_read_async(config, table, entity_keys, _with_time(requested_features)), time.time() * 1000
        )


def _with_time(features: Sequence[str] | None) -> list[str] | None:
    """A list of our own: Feast 0.67 appends to what it is given."""
    return None if features is None else list(dict.fromkeys([*features, VALID_UNTIL]))
