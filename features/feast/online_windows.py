"""Computed window values as rows of Feast's online store: the newest of each key of a stream view, and until when it is valid.

What Feast's clients read are the view's features and one more, `VALID_UNTIL`. Feast itself lets an older row overwrite a newer
one, and SQLite keeps whole seconds; so a row also has its place in the order of its key's, `ORDER`, which no view names.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from features.feast.keys import Key, tables
from features.feast.online import ORDER, applied_store
from features.feast.online_guarded import StoredRow, guarded_writer, order_of
from features.inputs.columns import window_types
from features.plan import VALID_UNTIL, ColumnType, Stage
from features.service import Service
from schemas.features import Value, Values

INT64 = range(-(2**63), 2**63)
DOUBLE = struct.Struct("<d").pack
FEW = 1024
"""Whole numbers below this, which most counts are, are encoded once."""
FIELDS = {"float64": "double_val", "decimal": "double_val", "bool": "bool_val", "string": "string_val"}


class WindowRow(NamedTuple):
    """What the windows of a view were at an event. Times are UTC milliseconds."""

    key: Key
    event_time: int
    offset: int
    """Of the event's record: of two rows of a key and a millisecond, the one with the greater offset is the newer."""
    valid_until: int | None
    """When the next row leaves one of its windows; None: no row is in any."""
    values: tuple[Value | Values, ...]
    """In the order of the view's features."""


WriteWindows = Callable[[str, Iterable[WindowRow]], int]
"""Writes rows of a stream view, which may have several of a key; gives how many were written, the newest of each key at most."""


def open_windows_for_writing(service: Service) -> WriteWindows:
    """Applies the project's stream views to its store, and writes rows of those of the service that are online.

    Raises `SettingError` where feature_store.yaml describes no store that can be written.
    """
    store = applied_store(service)
    write = guarded_writer(store)
    views = {view: _Encoder(service, stage, view) for stage in service.plan.windows for view in online_views(service, stage)}
    of_project = tables(service.objects)

    def write_windows(view: str, rows: Iterable[WindowRow]) -> int:
        newest: dict[Key, WindowRow] = {}
        for row in rows:
            before = newest.get(row.key)
            if before is None or (before.event_time, before.offset) <= (row.event_time, row.offset):
                newest[row.key] = row
        encode = views[view]
        stored = [encode(row) for row in newest.values() if None not in row.key]
        return write(of_project[view], stored)

    return write_windows


def online_views(service: Service, stage: Stage) -> tuple[str, ...]:
    """The views of a stage that have rows in the online store: all but those with ``online=False``."""
    of_project = tables(service.objects)
    return tuple(view for view in stage.views if of_project[view].online)


class _Encoder:
    """Rows of one view as Feast's messages."""

    def __init__(self, service: Service, stage: Stage, view: str) -> None:
        from feast.protos.feast.types.EntityKey_pb2 import EntityKey
        from feast.protos.feast.types.Value_pb2 import Value as Proto

        types, columns = window_types(service.plan), service.plan.source(stage.source).column
        features = [feature.name for feature in stage.features if feature.view == view]
        self._proto, self._entity_key = Proto, EntityKey
        self._key = [(name, _field(columns(name).type)) for name in stage.key]
        self._names = (ORDER, VALID_UNTIL, *(name.removeprefix(f"{view}__") for name in features))
        self._until = _encoder(Proto, ColumnType("int64"))
        self._encode = [_encoder(Proto, types[name]) for name in features]

    def __call__(self, row: WindowRow) -> StoredRow:
        proto = self._proto
        parts = [proto(**{field: part}) for (_, field), part in zip(self._key, row.key, strict=True)]
        key = self._entity_key(join_keys=[name for name, _ in self._key], entity_values=parts)
        order = proto(string_val=order_of(row.event_time, row.offset)).SerializeToString()
        values = [order, self._until(row.valid_until)]
        values += [encode(value) for encode, value in zip(self._encode, row.values, strict=True)]
        return StoredRow(key, row.event_time, row.offset, dict(zip(self._names, values, strict=True)))


def _field(kind: ColumnType) -> str:
    return FIELDS.get(kind.kind, "int64_val")


def _encoder(proto: Any, kind: ColumnType) -> Callable[[Any], bytes]:
    """Makes the bytes of Feast's `Value`; a sum of longs beyond 64 bits, which it cannot hold, is null: an empty one."""
    field = _field(kind)
    if kind.length:
        of_list = field.replace("_val", "_list_val")
        number = float if field == "double_val" else (lambda value: value)
        return lambda values: proto(**{of_list: {"val": [number(value) for value in values]}}).SerializeToString()
    if field == "double_val":  # a tag and eight bytes: the message itself costs three times as much
        return lambda value: b"" if value is None else b"\x29" + DOUBLE(value)
    if field == "int64_val":
        few = [proto(int64_val=value).SerializeToString() for value in range(FEW)]

        def whole(value: int | None) -> bytes:
            if value is None or value not in INT64:
                return b""
            return few[value] if 0 <= value < FEW else proto(int64_val=value).SerializeToString()  # type: ignore[no-any-return]

        return whole
    return lambda value: b"" if value is None else proto(**{field: value}).SerializeToString()
