"""What Feast calls the rows of a view: the views' definitions, and entity keys, whose bytes hold their types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from features.errors import SettingError
from features.plan import BatchView

Key = tuple[Any, ...]


class UnheldKeyError(ValueError):
    """A key that is no key of a batch view, whatever the store."""


class Definition(NamedTuple):
    """A batch view as Feast has it."""

    view: Any
    """The `BatchFeatureView`: Feast 0.67 cannot read one in SQL back from a registry, and reading a registry runs code."""
    entity_key: Callable[[Key], Any]
    """Makes an `EntityKey` of the values of a key."""
    nobody: Key
    """A key of the right types, to try the store with."""


def tables(objects: Iterable[Any]) -> dict[str, Any]:
    """The views that have rows in the online store, by name. An entity or a service may have the name of a view."""
    from feast import StreamFeatureView
    from feast.batch_feature_view import BatchFeatureView

    return {one.name: one for one in objects if isinstance(one, (BatchFeatureView, StreamFeatureView))}


def declared_types(objects: Iterable[Any], view: BatchView) -> dict[str, str]:
    """The types of the features of a batch view as Feast calls them, ``Int64``: the online store has values of them."""
    return {field.name: str(field.dtype) for field in tables(objects)[view.view].features if field.name in view.features}


def definition(objects: Iterable[Any], view: BatchView) -> Definition:
    """Of a project's objects what ``view`` is; raises `SettingError` for an entity without the type of a key."""
    from feast import Entity

    objects = list(objects)
    entities = {o.join_key: o for o in objects if isinstance(o, Entity)}
    fields = [_field(entities[name]) for name in view.key]
    nobody = tuple("" if field == "string_val" else 0 for field in fields)
    return Definition(tables(objects)[view.view], entity_keys(view.key, fields), nobody)


def entity_keys(names: Sequence[str], fields: Sequence[str]) -> Callable[[Key], Any]:
    """What makes an `EntityKey` of the values of a key, whose columns are ``names`` and whose types `Value` calls ``fields``.

    It raises `UnheldKeyError` for a value of another type.
    """
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    def entity_key(key: Key) -> EntityKey:
        try:
            values = [Value(**{field: part}) for field, part in zip(fields, key, strict=True)]
        except (TypeError, ValueError) as error:
            raise UnheldKeyError(f"no online store holds the key {key} of {', '.join(names)}: {error}") from None
        return EntityKey(join_keys=names, entity_values=values)

    return entity_key


def _field(entity: Any) -> str:
    """The field of Feast's Value message that holds a key: part of the key's bytes, so writer and reader have to agree."""
    from feast.value_type import ValueType

    fields = {ValueType.INT64: "int64_val", ValueType.STRING: "string_val"}
    if entity.value_type not in fields:
        raise SettingError(
            f"entity '{entity.name}': the key of a batch view has a type; got value_type={entity.value_type.name}; "
            f"write value_type=ValueType.{' or '.join(t.name for t in fields)}"
        )
    return fields[entity.value_type]
