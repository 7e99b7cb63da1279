"""Rows of batch views from Feast's online store, and a cache before it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from features.errors import SettingError
from features.plan import BatchView
from schemas.features import Value

Key = tuple[Any, ...]


class Row(NamedTuple):
    """A row of a batch view: its own time (UTC milliseconds) and its values, in the order of the view's features."""

    as_of: int
    values: tuple[Value, ...]


ReadRows = Callable[[BatchView, Sequence[Key]], Sequence[Row | None]]
"""Gives, for each key, its row of the view, or None where there is none."""


class Cached:
    """Rows as ``read`` gave them at most ``seconds`` ago; of each view, the ``size`` keys that were asked for last.

    That a key has no row is remembered as well.
    """

    def __init__(self, read: ReadRows, seconds: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._views: dict[str, OrderedDict[Key, tuple[float, Row | None]]] = {}

    def __call__(self, view: BatchView, keys: Sequence[Key]) -> Sequence[Row | None]:
        """The row of each key, in the keys' order; the distinct ones that are not cached are read at once."""
        now = self._clock()
        cache = self._views.setdefault(view.view, OrderedDict())
        missing = [key for key in dict.fromkeys(keys) if key not in cache or cache[key][0] <= now]
        if missing:
            for key, row in zip(missing, self._read(view, missing), strict=True):
                cache[key] = now + self._seconds, row
        rows = []
        for key in keys:
            cache.move_to_end(key)
            rows.append(cache[key][1])
        while len(cache) > self._size:
            cache.popitem(last=False)
        return rows


def open_online_store(folder: Path, objects: Iterable[Any], views: Iterable[BatchView]) -> ReadRows:
    """Reads ``views`` from the online store of the project in ``folder``; ``objects`` are its definitions.

    The definitions, not the registry: Feast 0.67 cannot read back a batch view in SQL, and reading its registry runs code.
    Uses the provider's ``online_read``: half the cost of ``get_online_features``, and it gives the rows' times.
    Raises `SettingError` where the store does not answer.
    """
    from feast import Entity, FeatureStore
    from feast.batch_feature_view import BatchFeatureView

    store = FeatureStore(repo_path=str(folder))
    objects = list(objects)
    entities = {o.join_key: o for o in objects if isinstance(o, Entity)}
    tables = {o.name: o for o in objects if isinstance(o, BatchFeatureView)}
    readers = {}
    for view in views:
        owners = [entities[key] for key in view.key]
        readers[view.view] = _reader(store, tables[view.view], owners, view)
        nobody = tuple("" if _key_field(owner) == "string_val" else 0 for owner in owners)
        _try(readers[view.view], folder, view.view, nobody)
    return lambda view, keys: readers[view.view](keys)


def _reader(store: Any, table: Any, entities: Sequence[Any], view: BatchView) -> Callable[[Sequence[Key]], Sequence[Row | None]]:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    fields = [_key_field(entity) for entity in entities]
    read = store._get_provider().online_read  # FeatureStore has no public way to a row's time
    features = list(view.features)

    def entity_key(key: Key) -> EntityKey:
        return EntityKey(
            join_keys=view.key, entity_values=[Value(**{field: part}) for field, part in zip(fields, key, strict=True)]
        )

    def rows(keys: Sequence[Key]) -> Sequence[Row | None]:
        whole = [key for key in keys if None not in key]
        found = read(store.config, table, [entity_key(key) for key in whole], features) if whole else []
        by_key = {key: _row(features, *row) for key, row in zip(whole, found, strict=True)}
        return [by_key.get(key) for key in keys]

    return rows


def _row(features: Sequence[str], as_of: Any, values: Any) -> Row | None:
    if values is None:
        return None
    return Row(int(as_of.timestamp() * 1000), tuple(_python(values.get(name)) for name in features))


def _python(value: Any) -> Any:
    kind = value.WhichOneof("val") if value is not None else None
    return None if kind is None else getattr(value, kind)


def _key_field(entity: Any) -> str:
    """The field of Feast's Value message that holds the entity's key: part of the key's bytes, so it has to be the writer's."""
    from feast.value_type import ValueType

    fields = {ValueType.INT64: "int64_val", ValueType.INT32: "int32_val", ValueType.STRING: "string_val"}
    if entity.value_type not in fields:
        raise SettingError(
            f"entity '{entity.name}': the key of a batch view has a type; got value_type={entity.value_type.name}; "
            f"write value_type=ValueType.{' or '.join(t.name for t in fields)}"
        )
    return fields[entity.value_type]


def _try(read: Callable[[Sequence[Key]], object], folder: Path, view: str, key: Key) -> None:
    try:
        read([key])
    except Exception as error:  # each online store has errors of its own
        raise SettingError(
            f"batch view '{view}' is read from the online store of {folder}; it answered: {error}; apply the definitions "
            "and write the view's rows first"
        ) from error
