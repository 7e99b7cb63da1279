"""What of Feast's views is wanted, from its registry: windows, joins and on-demand functions, as the plan has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from features.definitions import views as compiled
from features.errors import SettingError
from features.feast.functions import whole
from features.feast.hooks import is_windowed
from features.plan import BatchView, OnDemand, Source, WindowFeature
from jobs.history.places import exactly
from jobs.history.point_in_time import Joined, Key, Windows


class Wanted(msgspec.Struct, frozen=True):
    """What a call of get_historical_features is to give."""

    windows: tuple[Windows, ...]
    joined: tuple[Joined, ...]
    on_demand: tuple[Function, ...]
    columns: tuple[Named, ...]


class Named(msgspec.Struct, frozen=True):
    """A column of the result."""

    name: str
    """In the result."""
    feature: str
    """``<view>__<feature>``, whatever it is called in the result."""
    type: pa.DataType
    """As the view declares it."""


class Function(msgspec.Struct, frozen=True):
    """An on-demand view."""

    view: OnDemand
    call: Callable[..., Any] | None
    """Columns as lists in, and out; None where Feast is to run it."""
    feast: Any


def wanted_of(
    folder: Path, feature_views: Sequence[Any], feature_refs: Iterable[str], registry: Any, project: str, full_names: bool
) -> Wanted:
    """What ``feature_refs``, ``<view>:<feature>``, name. Raises `SettingError` and `DefinitionError`."""
    wanted: dict[str, list[str]] = {}
    for ref in dict.fromkeys(feature_refs):
        view, _, feature = ref.rpartition(":")
        wanted.setdefault(view, []).append(feature)
    by_name = {view.projection.name_to_use(): view for view in feature_views}
    entities = {entity.name: entity.join_key for entity in registry.list_entities(project)}
    windows, joined, functions = [], [], []
    types: dict[str, pa.DataType] = {}
    for name, features in wanted.items():
        view = by_name.get(name) or _on_demand(name, registry, project)
        if name not in by_name:
            functions.append(_function(folder, view, name, features))
        elif is_windowed(view):
            windows.append(_windows(view, name, features, registry, project, entities))
        else:
            joined.append(_joined(folder, view, name, features, registry, project))
        declared = {field.name: field.dtype for field in view.features}
        types |= {f"{name}__{feature}": _arrow_type(declared[feature]) for feature in features}
    columns: dict[str, Named] = {}
    for ref in dict.fromkeys(feature_refs):
        view, _, feature = ref.rpartition(":")
        shown = f"{view.partition('@')[0]}__{feature}" if full_names else feature
        full = f"{view}__{feature}"
        columns.setdefault(shown, Named(shown, full, types[full]))
    return Wanted(tuple(_united(windows)), tuple(joined), tuple(functions), tuple(columns.values()))


def _windows(view: Any, name: str, features: Sequence[str], registry: Any, project: str, entities: dict[str, str]) -> Windows:
    """The windows of a stream view, under the name by which it is wanted."""
    from features.definitions.load import source_of

    source = source_of(_newest(view.stream_source, registry, project))
    known = {feature.name.removeprefix(f"{view.name}__"): feature for feature in compiled.window_features(view, source)}
    unknown = [feature for feature in features if feature not in known]
    if unknown:
        raise SettingError(
            f"view '{view.name}' has the features {', '.join(known)}; got '{unknown[0]}'; run 'feast apply', or name one of them"
        )
    renamed = [msgspec.structs.replace(known[feature], name=f"{name}__{feature}") for feature in features]
    return Windows(source, _key([entities[entity] for entity in view.entities], view), tuple(renamed))


def _united(windows: Iterable[Windows]) -> Iterable[Windows]:
    """Those of one source and key as one: they share the sorting of rows, which costs most."""
    found: dict[tuple[str, Key], list[WindowFeature]] = {}
    sources: dict[str, Source] = {}
    for one in windows:
        sources[one.source.name] = one.source
        found.setdefault((one.source.name, one.key), []).extend(one.features)
    return [Windows(sources[name], key, tuple(features)) for (name, key), features in found.items()]


def _joined(folder: Path, view: Any, name: str, features: Sequence[str], registry: Any, project: str) -> Joined:
    """The rows of a view that are kept in a file."""
    from feast import FileSource

    source = _newest(view.batch_source, registry, project)
    if not isinstance(source, FileSource):
        raise SettingError(
            f"view '{view.name}': this offline store reads the rows of a view from Parquet files; got {type(source).__name__}; "
            "give it a FileSource, or read the view in a project with another offline store"
        )
    keys = tuple(column.name for column in view.entity_columns)
    kept = BatchView(
        view=name,
        key=keys,
        features=tuple(features),
        source="",
        sql="",
        path=_file(folder, view, source.path),
        timestamp=source.timestamp_field,
        ttl_ms=int(view.ttl / timedelta(milliseconds=1)) if view.ttl else 0,
    )
    stored = {mapped: own for own, mapped in source.field_mapping.items()}
    return Joined(kept, _key(keys, view), stored, source.created_timestamp_column)


def files_of(folder: Path, path: str) -> str:
    """What a Feast source's path names, as DuckDB reads it: a URL, a file, the files below a folder, or those of a glob."""
    if "://" in path:
        return path
    found = folder / path
    if not found.exists():
        return str(found)
    return exactly(str(found)) + ("/**/*.parquet" if found.is_dir() else "")


def _file(folder: Path, view: Any, path: str) -> str:
    """The files of a view. Raises `SettingError` where there are none."""
    found = folder / path
    if "://" not in path and "*" not in path and not found.exists():
        raise SettingError(
            f"view '{view.name}': its rows are in {found}; got no such file; put it there, for a batch view with "
            "'headrace batch-views SERVICE --from DAY --to DAY'"
        )
    return files_of(folder, path)


def _key(names: Sequence[str], view: Any) -> Key:
    """The view's key columns, and the columns of the entity rows that hold them."""
    renamed = view.projection.join_key_map
    return tuple((name, renamed.get(name, name)) for name in names)


def _on_demand(name: str, registry: Any, project: str) -> Any:
    """The on-demand view that a service, or nobody, calls ``name``."""
    known = {view.name: view for view in registry.list_on_demand_feature_views(project)}
    if name in known:
        return known[name]
    for service in registry.list_feature_services(project):
        for projection in service.feature_view_projections:
            if projection.name_to_use() == name and projection.name in known:
                return known[projection.name]
    raise SettingError(f"no view '{name}' in the registry; got {', '.join(known) or 'none'} on demand; run 'feast apply'")


def _function(folder: Path, view: Any, name: str, features: Sequence[str]) -> Function:
    inputs = [field.name for source in view.source_request_sources.values() for field in source.schema]
    read = [(f.name, f"{p.name_to_use()}__{f.name}") for p in view.source_feature_view_projections.values() for f in p.features]
    plain = view.mode == "python" and not view.singleton and compiled.has_function(view)
    of_plan = OnDemand(name, tuple(inputs), tuple(read), tuple(features), "")
    return Function(of_plan, whole(folder, view) if plain else None, view)


def _newest(source: Any, registry: Any, project: str) -> Any:
    """A source as it was applied last: a view keeps the one that it was applied with."""
    from feast.errors import DataSourceObjectNotFoundException

    try:
        return registry.get_data_source(source.name, project)
    except DataSourceObjectNotFoundException:
        return source


def _arrow_type(dtype: Any) -> pa.DataType:
    from feast.type_map import feast_value_type_to_pa

    return feast_value_type_to_pa(dtype.to_value_type())
