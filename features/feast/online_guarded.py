"""Writers for which no older row comes over a newer one.

In SQLite and Redis however many write at once: SQLite takes the write lock before it reads; Redis runs a script, which nothing
interrupts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NamedTuple

from features.feast.online import ORDER, ROWS_A_WRITE, database, is_sqlite
from features.sql.quoting import literal, quoted

ROWS_A_SCRIPT = 200
"""While Redis runs a script it does nothing else: some 2 ms."""
LOCK_SECONDS = 30.0
GUARD = """
local fields, ttl, at, written = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[1]) + 3, 0
for _, key in ipairs(KEYS) do
  local time, offset = string.match(ARGV[at], '(%d+) (%d+)$')
  local kept_time, kept_offset = string.match(redis.call('HGET', key, ARGV[3]) or '', '(%d+) (%d+)$')
  if not kept_time or tonumber(time) > tonumber(kept_time)
     or (time == kept_time and tonumber(offset) >= tonumber(kept_offset)) then
    local row = {}
    for field = 1, fields do
      row[2 * field - 1], row[2 * field] = ARGV[2 + field], ARGV[at + field - 1]
    end
    redis.call('HSET', key, unpack(row))
    if ttl > 0 then redis.call('EXPIRE', key, ttl) end
    written = written + 1
  end
  at = at + fields
end
return written
"""
"""KEYS: a row's hash each. ARGV: how many fields a row has, seconds to live (0: none), their names, the values of each row. The
first field is the row's order."""


class StoredRow(NamedTuple):
    """A row as the store has it."""

    key: Any
    """Feast's `EntityKey`."""
    event_time: int
    offset: int
    values: dict[str, bytes]
    """The bytes of Feast's `Value` by name: `ORDER` first, then what else the row has."""


WriteRows = Callable[[Any, Sequence[StoredRow]], int]
"""Writes rows, each of another key, to the table of a Feast view, but none over a newer one; gives how many were written."""


def guarded_writer(store: Any) -> WriteRows:
    """Writes some thousand rows at a time, in whatever way is the store's own."""
    write = _writer(store)
    return lambda table, rows: sum(write(table, rows[at : at + ROWS_A_WRITE]) for at in range(0, len(rows), ROWS_A_WRITE))


def order_of(event_time: int, offset: int) -> str:
    """The text of a row's `ORDER`, by which writers know which of two rows is newer."""
    return f"{event_time} {offset}"


def _writer(store: Any) -> WriteRows:
    """The writer for the store's type: for SQLite and Redis one that is atomic; else one that reads, compares and writes."""
    config = store.config.online_store
    if is_sqlite(config):
        return _sqlite_writer(store)
    if str(getattr(config, "redis_type", "")).endswith(("redis", "redis_sentinel")):
        return _redis_writer(store)
    return _read_and_write(store)


def _sqlite_writer(store: Any) -> WriteRows:
    """Writes to the tables of Feast's SQLite store."""
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.infra.online_stores.sqlite import _table_id

    config = store.config
    connection = sqlite3.connect(database(store), timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    # Beside a write-ahead log: a power cut may lose the last rows, never the file. Pages stay in memory, and are copied seldom.
    for pragma in ("synchronous = NORMAL", "cache_size = -65536", "wal_autocheckpoint = 16384"):
        connection.execute(f"PRAGMA {pragma}")

    def write(table: Any, rows: Sequence[StoredRow]) -> int:
        name = quoted(_table_id(config.project, table, config.registry.enable_online_feature_view_versioning))
        by_key = {serialize_entity_key(row.key, config.entity_key_serialization_version): row for row in rows}
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            kept = _orders(connection, name, list(by_key))
            new = [
                (key, row) for key, row in by_key.items() if key not in kept or _place(kept[key]) <= (row.event_time, row.offset)
            ]
            if new:
                connection.executemany(
                    _upsert(name, new[0][1].values),
                    # In the order of the index, whose pages are then touched once.
                    [(key, _seconds(row.event_time), *row.values.values()) for key, row in sorted(new, key=itemgetter(0))],
                )
        return len(new)

    return write


def _upsert(table: str, features: Iterable[str]) -> str:
    """Writes all features of a key, of which rows have the same in the same order: a statement for each costs twice as much."""
    rows = ", ".join(f"(?1, {literal(feature)}, ?{at}, ?2)" for at, feature in enumerate(features, 3))
    return (
        f"INSERT INTO {table} (entity_key, feature_name, value, event_ts) VALUES {rows} "
        "ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value, event_ts = excluded.event_ts"
    )


def _place(order: bytes) -> tuple[int, int]:
    """A row's event time and offset, of the bytes of Feast's `Value` of a short text: tag and length come first, a byte each."""
    time, _, offset = order[2:].partition(b" ")
    return int(time), int(offset)


def _orders(connection: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    marks = ", ".join("?" * len(keys))
    query = f"SELECT entity_key, value FROM {table} WHERE feature_name = ? AND entity_key IN ({marks})"
    return dict(connection.execute(query, [ORDER, *keys]))


def _seconds(event_time: int) -> int:
    """As Feast 0.67 writes a time: UTC, taken for local time. It reads it back the same way."""
    return int(datetime.fromtimestamp(event_time / 1000, UTC).replace(tzinfo=None).timestamp())


def _redis_writer(store: Any) -> WriteRows:
    """Writes to the hashes of Feast's Redis store."""
    from feast.infra.online_stores.helpers import _mmh3, _redis_key, compute_versioned_name
    from feast.infra.online_stores.redis import Timestamp

    config, online = store.config, store._get_provider().online_store
    client = online._get_client(config.online_store)
    guard = client.register_script(GUARD)

    def write(table: Any, rows: Sequence[StoredRow]) -> int:
        view = compute_versioned_name(table, config.registry.enable_online_feature_view_versioning)
        written = 0
        for first in range(0, len(rows), ROWS_A_SCRIPT):
            some = rows[first : first + ROWS_A_SCRIPT]
            names: list[Any] = [*(_mmh3(f"{view}:{name}") for name in some[0].values), f"_ts:{view}"]
            values: list[bytes] = []
            for row in some:
                values += row.values.values()
                values.append(
                    Timestamp(seconds=row.event_time // 1000, nanos=row.event_time % 1000 * 1_000_000).SerializeToString()
                )
            keys = [_redis_key(config.project, row.key, config.entity_key_serialization_version) for row in some]
            ttl = config.online_store.key_ttl_seconds or 0
            written += int(guard(keys=keys, args=[len(names), ttl, *names, *values]))
        return written

    return write


def _read_and_write(store: Any) -> WriteRows:
    """For any other store of Feast's: right as long as a key has one writer at a time, as a partition has."""
    from feast.protos.feast.types.Value_pb2 import Value as Proto

    provider, config = store._get_provider(), store.config

    def write(table: Any, rows: Sequence[StoredRow]) -> int:
        stored = provider.online_read(config, table, [row.key for row in rows], [ORDER])
        kept = [_place(values[ORDER].SerializeToString()) if values and ORDER in values else None for _, values in stored]
        new = [
            (
                row.key,
                {name: Proto.FromString(value) for name, value in row.values.items()},
                datetime.fromtimestamp(row.event_time / 1000, UTC),
                None,
            )
            for row, before in zip(rows, kept, strict=True)
            if before is None or before <= (row.event_time, row.offset)
        ]
        if new:
            provider.online_write_batch(config, table, new, None)
        return len(new)

    return write
