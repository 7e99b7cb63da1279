"""What Feast 0.67 does to a project's definitions where it should not, put right: it has no hook for any of it.

The offline store calls `install` as it is imported, which is whenever Feast reads a feature_store.yaml that names it: so `feast`,
a notebook and our own commands all see the same registry. Each replacement calls what it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, wraps
from pathlib import Path
from typing import Any

from features.definitions import definitions_file
from features.plan import VALID_UNTIL


@cache
def install() -> None:
    """Replace what is wrong, once a process."""
    from feast import FeatureStore, StreamFeatureView, repo_operations
    from feast.batch_feature_view import BatchFeatureView
    from feast.diff import registry_diff
    from feast.infra.registry.base_registry import BaseRegistry
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.transformation.sql_transformation import SQLTransformation

    repo_operations.get_repo_files = _definitions_alone(repo_operations.get_repo_files)
    FeatureStore._make_inferences = _with_windows(FeatureStore._make_inferences)
    FeatureStore.get_feature_view = _of_any_kind(FeatureStore.get_feature_view)
    OnDemandFeatureView.infer_features = _without_made_up_values(OnDemandFeatureView.infer_features)
    StreamFeatureView.to_proto = _features_in_order(StreamFeatureView.to_proto)
    StreamFeatureView.__eq__ = _equal(StreamFeatureView.__eq__, _windows)
    BatchFeatureView.__eq__ = _equal(BatchFeatureView.__eq__, _sql)
    BatchFeatureView._schema_or_udf_changed = _changed(BatchFeatureView._schema_or_udf_changed, _sql)
    OnDemandFeatureView.transform_dict = _with_full_names(OnDemandFeatureView.transform_dict)
    BaseRegistry._message_to_sorted_dict = staticmethod(_with_all_parts(BaseRegistry._message_to_sorted_dict))
    registry_diff.diff_registry_objects = _with_sql(registry_diff.diff_registry_objects)
    SQLTransformation.from_proto = classmethod(_sql_from_proto)


def _definitions_alone(original: Callable[[Path], list[Path]]) -> Callable[[Path], list[Path]]:
    """Feast runs every Python file below the project, a simulation or a script of training too."""

    @wraps(original)
    def get_repo_files(repo_root: Path) -> list[Path]:
        files = original(repo_root)
        own = [file for file in files if file == (repo_root / definitions_file.NAME).resolve()]
        return own or files

    return get_repo_files


def _with_windows(original: Callable[..., None]) -> Callable[..., None]:
    """Feast takes the columns of a stream's history for the features of an aggregated view over it."""

    @wraps(original)
    def _make_inferences(
        self: Any, sources: Any, entities: Any, views: Any, on_demand: Any, streams: Any, services: Any, *others: Any
    ) -> None:
        _complete(self, [*self._list_entities(), *entities], [*views, *streams], on_demand)
        for view in views:
            view.ttl = view.ttl or timedelta(0)  # as it is read back: an apply would find a change each time
        original(self, sources, entities, views, on_demand, streams, services, *others)
        without_windows = {view.name for view in (*views, *on_demand)}  # whose features are all their own
        for projection in (projection for service in services for projection in service.feature_view_projections):
            projection.desired_features = []  # likewise: they are its features by now
            if projection.name not in without_windows:
                projection.features = [field for field in projection.features if field.name != VALID_UNTIL]

    return _make_inferences


def _complete(store: Any, entities: Iterable[Any], views: list[Any], on_demand: list[Any]) -> None:
    """Give aggregated stream views their schema, and on-demand views over them the features they read."""
    from features.definitions.declared import Declared
    from features.definitions.load import complete, source_of

    read = {name for view in on_demand for name in view.source_feature_view_projections}
    if read - {view.name for view in views}:  # some were applied before
        known = store.registry.list_all_feature_views(store.project)
        views = [*(view for view in known if view.name in read), *views]
    streams = {view.name: view for view in views if is_windowed(view)}
    others = {view.name: view for view in views if view.name not in streams}
    sources = {view.stream_source.name: source_of(view.stream_source) for view in streams.values()}
    over_streams = {view.name: view for view in on_demand if not streams.keys().isdisjoint(view.source_feature_view_projections)}
    complete(Declared(streams, over_streams, others, {}, sources, {entity.name: entity for entity in entities}))


def is_windowed(view: Any) -> bool:
    """Whether a view of Feast's is one whose windows we compute."""
    from feast import KafkaSource, StreamFeatureView

    return isinstance(view, StreamFeatureView) and bool(view.aggregations) and isinstance(view.stream_source, KafkaSource)


def _of_any_kind(original: Callable[..., Any]) -> Callable[..., Any]:
    """`feast feature-views list` looks for the views below an on-demand view, and does not find stream views."""

    @wraps(original)
    def get_feature_view(self: Any, name: str, allow_registry_cache: bool = False) -> Any:
        from feast.errors import FeatureViewNotFoundException

        try:
            return original(self, name, allow_registry_cache)
        except FeatureViewNotFoundException:
            return self.registry.get_any_feature_view(name, self.project, allow_registry_cache)

    return get_feature_view


def _without_made_up_values(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Feast calls a function with values that no event has, and fails where it gives null for them."""

    @wraps(original)
    def infer_features(self: Any) -> None:
        if self.mode != "python" or not self.features:
            original(self)

    return infer_features


def _with_full_names(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """get_online_features with full_feature_names leaves out what a Python function gives, which has short names alone."""

    @wraps(original)
    def transform_dict(self: Any, given: dict[str, Any]) -> dict[str, Any]:
        made = original(self, given)
        view = self.projection.name_to_use()
        return made | {f"{view}__{field.name}": made[field.name] for field in self.features if field.name in made}

    return transform_dict


def _with_all_parts(original: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """`feast registry-dump` writes into parts of views that they do not have."""

    @wraps(original)
    def message_to_sorted_dict(message: Any) -> dict[str, Any]:
        found = original(message)
        if message.DESCRIPTOR.name == "StreamFeatureView":
            found["spec"].setdefault("userDefinedFunction", {})
        if message.DESCRIPTOR.name == "OnDemandFeatureView":
            found["spec"].setdefault("featureTransformation", {}).setdefault("substraitPlan", {})
        return found

    return message_to_sorted_dict


def _features_in_order(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Feast writes features and join keys together, in the order of a set; read back, all of them are features."""

    @wraps(original)
    def to_proto(self: Any) -> Any:
        proto = original(self)
        del proto.spec.features[:]
        proto.spec.features.extend(feature.to_proto() for feature in self.features)
        return proto

    return to_proto


def _equal(original: Callable[[Any, Any], bool], declared: Callable[[Any], Any]) -> Callable[[Any, Any], bool]:
    """Feast finds two views equal that differ in what they compute, and does not apply the change."""

    @wraps(original)
    def equal(self: Any, other: Any) -> bool:
        return original(self, other) and declared(self) == declared(other)

    return equal


def _changed(original: Callable[[Any, Any], bool], declared: Callable[[Any], Any]) -> Callable[[Any, Any], bool]:
    @wraps(original)
    def _schema_or_udf_changed(self: Any, other: Any) -> bool:
        return original(self, other) or declared(self) != declared(other)

    return _schema_or_udf_changed


def _with_sql(original: Callable[..., Any]) -> Callable[..., Any]:
    """Feast fails at a batch view that has changed, whatever has, as it looks for a field that only other views have."""

    @wraps(original)
    def diff_registry_objects(current: Any, new: Any, object_type: Any) -> Any:
        from feast.batch_feature_view import BatchFeatureView
        from feast.diff.property_diff import PropertyDiff, TransitionType

        if not isinstance(new, BatchFeatureView) or not isinstance(current, BatchFeatureView):
            return original(current, new, object_type)
        with _of_one_transformation(current, new):
            found = original(current, new, object_type)
        if _sql(current) != _sql(new):
            found.feast_object_property_diffs.append(PropertyDiff("feature_transformation", _sql(current), _sql(new)))
            found.transition_type = TransitionType.UPDATE
        return found

    return diff_registry_objects


@contextmanager
def _of_one_transformation(*views: Any) -> Iterator[None]:
    """The views as if they had the same one."""
    own = [view._raw_feature_transformation_proto for view in views]
    written = views[0].to_proto().spec.feature_transformation
    for view in views:
        view._raw_feature_transformation_proto = written
    try:
        yield
    finally:
        for view, raw in zip(views, own, strict=True):
            view._raw_feature_transformation_proto = raw


def _windows(view: Any) -> Any:
    return view.aggregations, view.timestamp_field


def _sql(view: Any) -> Any:
    return getattr(view.feature_transformation, "udf_string", None)


def _sql_from_proto(cls: Any, proto: Any) -> Any:
    """Feast cannot read a batch view in SQL back from its registry. As for other functions, this runs code from there.

    `feast materialize` would transform the rows of the view's file by the function: they are its result already.
    """
    from feast.transformation.udf_rehydrate import resolve_udf

    function = resolve_udf(udf_string=proto.body_text, body=proto.body or None, preferred_name=proto.name or None)

    @wraps(function)
    def sql_or_rows(*rows: Any) -> Any:
        return rows[0] if rows else function()

    return cls(mode="sql", udf=sql_or_rows, udf_string=proto.body_text)
