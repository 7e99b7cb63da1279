"""A project's Feast objects, compiled to plans. The only file that imports Feast's definitions.

A definition is Python: whoever may write ``definitions.py`` may run code here, and so may whoever writes the registry.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

import features.feast.typechecks  # noqa: F401 - before Feast

with warnings.catch_warnings():  # stream and batch views are "experimental" in Feast 0.67; a user can do nothing about it
    warnings.simplefilter("ignore")
    from feast import Entity, FeatureService, Field, FileSource, KafkaSource, RequestSource, StreamFeatureView
    from feast.batch_feature_view import BatchFeatureView
    from feast.data_format import JsonFormat
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.types import Array, Bool, FeastType, Float64, Int64, String

from features.definitions import definitions_file, lint, rules
from features.definitions.compile import plan_of, select
from features.definitions.declared import Declared, by_name
from features.definitions.views import has_function, window_features
from features.errors import DefinitionError
from features.plan import VALID_UNTIL, Plan, Source, WindowFeature
from features.service import Function, Service

FEAST_TYPES: dict[str, FeastType] = {
    "int64": Int64,
    "float64": Float64,
    "decimal": Float64,
    "string": String,
    "bool": Bool,
    "timestamp": Int64,
}
KINDS: dict[str, type] = {
    "entity": Entity,
    "source": KafkaSource,
    "request source": RequestSource,
    "stream view": StreamFeatureView,
    "batch view": BatchFeatureView,
    "on-demand view": OnDemandFeatureView,
    "service": FeatureService,
}


class Project(msgspec.Struct, frozen=True):
    """A loaded project: its folder and its feature services."""

    folder: Path
    services: dict[str, Service]

    def service(self, name: str) -> Service:
        """The service called ``name``."""
        if name not in self.services:
            raise DefinitionError(
                f"no feature service '{name}' in {self.folder / 'definitions.py'}; name one of {', '.join(self.services)}"
            )
        return self.services[name]

    @property
    def plans(self) -> list[Plan]:
        """The plan of every service."""
        return [service.plan for service in self.services.values()]


def load(folder: Path) -> Project:
    """The project in ``folder``: runs its ``definitions.py`` and compiles every feature service in it.

    Raises `DefinitionError` for the first definition that breaks a rule.
    """
    objects = _objects(folder)
    declared = _declared(objects)
    services = {name: one for name, one in by_name("service", objects, FeatureService).items() if not _is_feasts_alone(one)}
    if not services:
        raise DefinitionError(f"{folder / 'definitions.py'}: a project has a FeatureService per model; got none; add one")
    complete(declared)
    functions = {view.name: view.feature_transformation.udf for view in declared.on_demand.values() if has_function(view)}
    plans = {name: plan_of(service, declared) for name, service in services.items()}
    lint.check(_compiled(objects, plans), KINDS)
    for view in declared.on_demand.values():
        _check_request_types(view, plans.values())
    batch = {view.view: view.path for plan in plans.values() for view in plan.batch}
    rules.check_stages(declared.sources, (stage for plan in plans.values() for stage in plan.windows))
    lint.check_files({source.name: source.history for source in declared.sources.values()}, batch)
    return Project(folder, {name: _service(folder, plan, functions, declared, objects) for name, plan in plans.items()})


def _is_feasts_alone(service: FeatureService) -> bool:
    """Whether a service names no spine, and takes views under other names or keys: only Feast's own calls can give it."""
    renamed = any(p.name_to_use() != p.name or p.join_key_map for p in service.feature_view_projections)
    return renamed and "spine" not in service.tags


def complete(declared: Declared) -> None:
    """Give Feast's objects what follows from the others: stream views their schema, on-demand views the features they read."""
    for view in declared.streams.values():
        _derive_schema(view, declared)
    for view in declared.on_demand.values():
        for projection in view.source_feature_view_projections.values():
            select(f"on-demand view '{view.name}'", projection, declared)


def _compiled(objects: tuple[Any, ...], plans: Mapping[str, Plan]) -> list[Any]:
    """The objects that mean something to us: stream views, sources, entities, and of the others those that a plan has."""
    names = set(plans)
    for plan in plans.values():
        names |= {view.view for view in plan.on_demand} | {view.view for view in plan.batch}
    views = [one for one in objects if isinstance(one, OnDemandFeatureView) and one.name in names]
    requests = {source.name: source for view in views for source in view.source_request_sources.values()}
    always, named = (Entity, KafkaSource, StreamFeatureView), (OnDemandFeatureView, BatchFeatureView, FeatureService)
    ours = [one for one in objects if isinstance(one, always) or (isinstance(one, named) and one.name in names)]
    return [*ours, *requests.values()]


def _objects(folder: Path) -> tuple[Any, ...]:
    """The Feast objects that the project's definitions bind to a name; each once, though it may have two names."""
    names = vars(definitions_file.run(folder)).items()
    values = [value for name, value in names if not name.startswith("_") and isinstance(value, tuple(KINDS.values()))]
    return tuple({id(value): value for value in values}.values())


def _declared(objects: tuple[Any, ...]) -> Declared:
    views = by_name("view", objects, StreamFeatureView, OnDemandFeatureView, BatchFeatureView)
    batch = {name: view for name, view in views.items() if isinstance(view, BatchFeatureView)}
    files = {name: view.batch_source if isinstance(view.batch_source, FileSource) else None for name, view in batch.items()}
    return Declared(
        streams={name: view for name, view in views.items() if isinstance(view, StreamFeatureView)},
        on_demand={name: view for name, view in views.items() if isinstance(view, OnDemandFeatureView)},
        batch=batch,
        files=files,
        sources={name: source_of(source) for name, source in by_name("source", objects, KafkaSource).items()},
        entities=by_name("entity", objects, Entity),
    )


def _service(
    folder: Path, plan: Plan, functions: Mapping[str, Function], declared: Declared, objects: tuple[Any, ...]
) -> Service:
    return Service(
        folder=folder,
        plan=plan,
        functions={view.view: functions[view.view] for view in plan.on_demand},
        sources=declared.sources,
        objects=objects,
    )


def source_of(source: KafkaSource) -> Source:
    """A source of the plan. Raises `DefinitionError` for a stream that breaks a rule."""
    where = f"source '{source.name}'"
    if "event_id" not in source.tags:
        raise DefinitionError(
            f"{where}: a stream names the column that identifies an event; got no tag 'event_id'; "
            "write tags={'event_id': '<column>'}"
        )
    if not isinstance(source.batch_source, FileSource) or not source.batch_source.path:
        raise DefinitionError(
            f"{where}: a stream has a history in Parquet; got batch_source of {type(source.batch_source).__name__}; "
            "give batch_source=FileSource(path=…)"
        )
    if not isinstance(source.kafka_options.message_format, JsonFormat):
        raise DefinitionError(
            f"{where}: events are JSON; got {type(source.kafka_options.message_format).__name__}; "
            "write message_format=JsonFormat(schema_json='<column> <type>, …')"
        )
    result = Source(
        name=source.name,
        topic=source.kafka_options.topic,
        columns=rules.columns(source.name, source.kafka_options.message_format.schema_json),
        time=source.timestamp_field,
        event_id=source.tags["event_id"],
        history=source.batch_source.path,
        delay_ms=(source.kafka_options.watermark_delay_threshold or timedelta(0)) // timedelta(milliseconds=1),
        arrival=source.tags.get("arrival"),
    )
    time = rules.column(result, result.time, f"{where}: timestamp_field is the event time, a column of its schema")
    if time.type.kind != "timestamp":
        raise DefinitionError(
            f"{where}: the event time is a timestamp; got {time.name} {time.type}; write '{time.name} timestamp'"
        )
    event_id = rules.column(result, result.event_id, f"{where}: the tag event_id names a column of its schema")
    rules.check_key(f"{where}: an event id", event_id)
    return result


def _derive_schema(view: StreamFeatureView, declared: Declared) -> None:
    """Give Feast the schema that follows from the aggregations: adding a window stays one line."""
    source = declared.source(view)
    if view.timestamp_field != source.time or view.udf is not None:
        came = f"timestamp_field='{view.timestamp_field}'" if view.udf is None else "a udf"
        raise DefinitionError(
            f"view '{view.name}': windows are over the events of a source as they are, at its event time; got {came}; "
            f"write timestamp_field='{source.time}' and no udf, and transform on demand or before Kafka"
        )
    key_rule = f"view '{view.name}': the join key of its entity is a column of its source"
    keys = [rules.column(source, key, key_rule) for key in declared.key(view)]
    for key in keys:
        rules.check_name("join key", key.name)
        rules.check_key(f"view '{view.name}': a join key", key)
    features = window_features(view, source)
    given = {field.name: str(field.dtype) for field in view.features if field.name not in {key.name for key in keys}}
    view.features = [Field(name=f.name.removeprefix(f"{view.name}__"), dtype=_feast_type(f, source)) for f in features]
    lint.check_schema(f"view '{view.name}'", given, {field.name: str(field.dtype) for field in view.features})
    view.entity_columns = [Field(name=key.name, dtype=FEAST_TYPES[key.type.kind]) for key in keys]
    # Services over the whole view share its projection. Until when values are valid is a feature of the view, and in no service.
    view.projection.features = list(view.features)
    view.features.append(Field(name=VALID_UNTIL, dtype=Int64))
    view.projection = copy(view.projection)
    view.projection.features = view.features


def _check_request_types(view: OnDemandFeatureView, plans: Iterable[Plan]) -> None:
    for plan in plans:
        if view.name in {one.view for one in plan.on_demand}:
            for field in (field for source in view.source_request_sources.values() for field in source.schema):
                wanted = FEAST_TYPES[plan.spine_source.column(field.name).type.kind]
                lint.check_request(f"on-demand view '{view.name}'", field.name, str(field.dtype), str(wanted))


def _feast_type(feature: WindowFeature, source: Source) -> FeastType:
    given = feature.aggregation.gives(source.column(feature.column).type)
    return Array(FEAST_TYPES[given.kind]) if given.length else FEAST_TYPES[given.kind]
