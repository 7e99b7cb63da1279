"""A project's Feast objects, compiled to plans. The only file that imports Feast's definitions.

A definition is Python: whoever may write ``definitions.py`` may run code here, and so may whoever writes the registry.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

with warnings.catch_warnings():  # stream and batch views are "experimental" in Feast 0.67; a user can do nothing about it
    warnings.simplefilter("ignore")
    from feast import Entity, FeatureService, Field, FileSource, KafkaSource, RequestSource, StreamFeatureView
    from feast.batch_feature_view import BatchFeatureView
    from feast.data_format import JsonFormat
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.types import Array, Bool, FeastType, Float64, Int64, String

from features.definitions import rules
from features.definitions.aggregations import check, gives
from features.errors import DefinitionError
from features.inputs.columns import list_columns
from features.plan import BatchView, OnDemand, Plan, Source, Stage, WindowFeature
from features.service import Function, Service

DEFAULT_LATENESS = "1d"
FEAST_TYPES: dict[str, FeastType] = {
    "int64": Int64,
    "float64": Float64,
    "decimal": Float64,
    "string": String,
    "bool": Bool,
    "timestamp": Int64,
}
DEFINITIONS = (Entity, KafkaSource, RequestSource, StreamFeatureView, OnDemandFeatureView, BatchFeatureView, FeatureService)


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


class _Declared(msgspec.Struct, frozen=True):
    """What ``definitions.py`` declares, by name."""

    views: dict[str, Any]
    sources: dict[str, Source]
    entities: dict[str, Entity]

    def view(self, user: str, name: str) -> Any:
        if name not in self.views:
            raise DefinitionError(
                f"{user} takes stream, batch and on-demand views that definitions.py binds to a name; got view '{name}'; "
                "bind it, or make it one of these kinds"
            )
        return self.views[name]

    def source(self, view: StreamFeatureView) -> Source:
        name = getattr(view.stream_source, "name", None)
        if name not in self.sources:
            raise DefinitionError(
                f"view '{view.name}': a stream view reads a KafkaSource that definitions.py binds to a name; got '{name}'; "
                f"bind it, or use {_listed(self.sources)}"
            )
        return self.sources[name]

    def key(self, view: StreamFeatureView | BatchFeatureView) -> tuple[str, ...]:
        missing = [name for name in view.entities if name not in self.entities]
        if missing:
            came = "no entity" if missing == ["__dummy"] else f"entity '{missing[0]}'"
            raise DefinitionError(
                f"view '{view.name}': a view has entities that definitions.py binds to a name; got {came}; "
                f"write entities=[…] with one of {_listed(self.entities)}"
            )
        return tuple(self.entities[name].join_key for name in view.entities)


def load(folder: Path) -> Project:
    """The project in ``folder``: imports its ``definitions.py`` by path and compiles every feature service in it.

    Raises `DefinitionError` for the first definition that breaks a rule.
    """
    values = [v for k, v in vars(_import(folder)).items() if not k.startswith("_") and isinstance(v, DEFINITIONS)]
    objects = tuple({id(v): v for v in values}.values())  # a definition may have two names
    declared = _Declared(
        views=_by_name("view", objects, StreamFeatureView, OnDemandFeatureView, BatchFeatureView),
        sources={name: _source(s) for name, s in _by_name("source", objects, KafkaSource).items()},
        entities=_by_name("entity", objects, Entity),
    )
    services = _by_name("service", objects, FeatureService)
    if not services:
        raise DefinitionError(f"{folder / 'definitions.py'}: a project has a FeatureService per model; got none; add one")
    on_demand = [view for view in declared.views.values() if isinstance(view, OnDemandFeatureView)]
    for view in declared.views.values():
        if isinstance(view, StreamFeatureView):
            _derive_schema(view, declared)
    for view in on_demand:
        for projection in view.source_feature_view_projections.values():
            _select(f"on-demand view '{view.name}'", projection, declared)
    functions = {view.name: view.feature_transformation.udf for view in on_demand if _has_function(view)}
    plans = {name: _compile(service, declared) for name, service in services.items()}
    return Project(folder, {name: _service(folder, plan, functions, declared, objects) for name, plan in plans.items()})


def _service(
    folder: Path, plan: Plan, functions: Mapping[str, Function], declared: _Declared, objects: tuple[Any, ...]
) -> Service:
    return Service(
        folder=folder,
        plan=plan,
        functions={view.view: functions[view.view] for view in plan.on_demand},
        sources=declared.sources,
        objects=objects,
    )


def _import(folder: Path) -> ModuleType:
    path = folder / "definitions.py"
    if not path.is_file():
        raise DefinitionError(f"a project has a definitions.py; {folder} has none; give --project DIR")
    spec = importlib.util.spec_from_file_location("headrace_definitions", path)
    assert spec is not None  # noqa: S101 - a path to an existing .py always has a spec
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Feast reads functions' sources through it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            spec.loader.exec_module(module)
        except Exception as e:
            lines = [frame.lineno for frame in traceback.extract_tb(e.__traceback__) if frame.filename == str(path)]
            line, text = (e.lineno, e.msg) if isinstance(e, SyntaxError) else (lines[-1], (str(e).splitlines() or [""])[0])
            raise DefinitionError(
                f"{path} is run as Python; got {type(e).__name__} on line {line}: {text}; mend that line"
            ) from e
    return module


def _by_name(kind: str, objects: Iterable[Any], *types: type) -> dict[str, Any]:
    """The objects of ``types``; refuses two of one name."""
    found: dict[str, Any] = {}
    chosen: list[Any] = [o for o in objects if isinstance(o, types)]
    for definition in chosen:
        rules.check_name(kind, definition.name)
        if definition.name.lower() in map(str.lower, found):
            raise DefinitionError(f"{kind} '{definition.name}': names differ in more than case; got two of this name; rename one")
        found[definition.name] = definition
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "(none yet)"


def _source(source: KafkaSource) -> Source:
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
        delay_ms=rules.milliseconds(source.kafka_options.watermark_delay_threshold or timedelta(0)),
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


def _derive_schema(view: StreamFeatureView, declared: _Declared) -> None:
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
    features = _window_features(view, source)
    view.features = [Field(name=f.name.removeprefix(f"{view.name}__"), dtype=_feast_type(f, source)) for f in features]
    view.entity_columns = [Field(name=key.name, dtype=FEAST_TYPES[key.type.kind]) for key in keys]
    view.projection.features = view.features


def _feast_type(feature: WindowFeature, source: Source) -> FeastType:
    given = gives(feature.function, source.column(feature.column).type)
    return Array(FEAST_TYPES[given.kind]) if given.length else FEAST_TYPES[given.kind]


def _window_features(view: StreamFeatureView, source: Source) -> tuple[WindowFeature, ...]:
    if not view.aggregations:
        raise DefinitionError(
            f"view '{view.name}': a stream view has aggregations; got none; write aggregations=[Aggregation(…)], "
            "or use an on-demand view"
        )
    features: dict[str, WindowFeature] = {}
    for aggregation in view.aggregations:
        name = aggregation.resolved_name(aggregation.time_window)
        full = f"{view.name}__{name}"
        window = rules.window(full, aggregation.time_window, aggregation.slide_interval)
        column = rules.column(source, aggregation.column, f"feature '{full}': an aggregation is of a column of the view's source")
        empty = check(view.name, name, aggregation.function, column).empty
        rules.check_name("feature", name)
        if name.lower() in features:
            raise DefinitionError(
                f"view '{view.name}': the names of its features differ in more than case; got '{name}' twice; "
                "write Aggregation(name=…)"
            )
        wants_fill = empty is None and "fill" in view.tags
        fill = rules.fill(full, view.tags["fill"], aggregation.function, column) if wants_fill else None
        features[name.lower()] = WindowFeature(full, aggregation.function, column.name, window, fill)
    return tuple(features.values())


def _select(user: str, projection: Any, declared: _Declared) -> Any:
    """The view of a projection, which is given the features it chooses: it was made before the stream views had any."""
    view = declared.view(user, projection.name)
    if projection.name_to_use() != projection.name or projection.join_key_map:
        raise DefinitionError(
            f"{user} takes views under their own names and keys; got '{projection.name_to_use()}'; leave it as it is"
        )
    features = {f.name: f for f in view.features}
    wanted = projection.desired_features or [f.name for f in projection.features] or list(features)
    unknown = [name for name in wanted if name not in features]
    if unknown:
        raise DefinitionError(f"{user} takes features that view '{view.name}' has; got '{unknown[0]}'; use {', '.join(features)}")
    projection.features, projection.desired_features = [features[name] for name in wanted], []
    return view


def _compile(service: FeatureService, declared: _Declared) -> Plan:
    where = f"service '{service.name}'"
    if service._pending_feature_refs:
        came = service._pending_feature_refs[0]
        raise DefinitionError(
            f"{where} takes views, as view or view[['feature']]; got the string '{came}'; write the view itself"
        )
    members = [_select(where, p, declared) for p in service.feature_view_projections]
    inputs = tuple(f"{p.name}__{f.name}" for p in service.feature_view_projections for f in p.features)
    twice = [name for name in inputs if inputs.count(name) > 1]
    if twice or not inputs:
        raise DefinitionError(
            f"{where}: each feature is an input once; got {twice[0] if twice else 'none'}; write features=[…] with each view once"
        )
    spine = _spine(service, declared)
    mode = service.tags.get("mode", "arrival")
    if mode not in {"arrival", "event_time"}:
        raise DefinitionError(f"{where}: the modes are arrival and event_time; got mode='{mode}'; write one of them")
    on_demand = [v for v in members if isinstance(v, OnDemandFeatureView)]
    needed = {v.name: v for v in members}
    needed |= {name: declared.views[name] for v in on_demand for name in v.source_feature_view_projections}
    windows = _windows([v for v in needed.values() if isinstance(v, StreamFeatureView)], declared)
    batch = tuple(_batch(v, declared) for v in needed.values() if isinstance(v, BatchFeatureView))
    for stage in windows:
        rules.check_spine_key(where, spine, stage.key, declared.sources[stage.source])
    for view in batch:
        rules.check_spine_key(where, spine, view.key, spine)
    used = dict.fromkeys([spine.name, *(w.source for w in windows), *(b.source for b in batch)])
    plan = Plan(
        service=service.name,
        spine=spine.name,
        sources=tuple(declared.sources[name] for name in used),
        windows=windows,
        on_demand=tuple(_on_demand(v, spine) for v in on_demand),
        batch=batch,
        inputs=inputs,
        mode=mode,
        lateness_ms=rules.milliseconds(
            rules.duration(f"{where}: allowed_lateness", service.tags.get("allowed_lateness", DEFAULT_LATENESS))
        ),
    )
    rules.check_list_inputs(where, list_columns(plan), {*inputs, *(feature.name for feature in plan.window_features)})
    return plan


def _spine(service: FeatureService, declared: _Declared) -> Source:
    spine = service.tags.get("spine", "")
    if spine not in declared.sources:
        raise DefinitionError(
            f"service '{service.name}': a service names its spine, the source whose every event is scored; "
            f"got tag spine='{spine}'; write tags={{'spine': …}} with one of {_listed(declared.sources)}"
        )
    return declared.sources[spine]


def _windows(views: Iterable[StreamFeatureView], declared: _Declared) -> tuple[Stage, ...]:
    """One stage for each pair of source and key, whichever views share it."""
    stages: dict[tuple[str, tuple[str, ...]], list[WindowFeature]] = {}
    for view in views:
        source = declared.source(view)
        stages.setdefault((source.name, declared.key(view)), []).extend(_window_features(view, source))
    return tuple(Stage(source, key, tuple(features)) for (source, key), features in stages.items())


def _has_function(view: OnDemandFeatureView) -> bool:
    return hasattr(view.feature_transformation, "udf")


def _on_demand(view: OnDemandFeatureView, spine: Source) -> OnDemand:
    where = f"on-demand view '{view.name}'"
    if getattr(view.mode, "value", view.mode) != "python" or view.singleton or not _has_function(view):
        raise DefinitionError(
            f"{where}: a Python function takes and gives columns as lists; got mode='{view.mode}', singleton={view.singleton}; "
            "write @on_demand_feature_view(mode='python', …) over it"
        )
    event_inputs = [f.name for s in view.source_request_sources.values() for f in s.schema]
    for name in event_inputs:
        rules.column(spine, name, f"{where}: its request source names columns of the spine")
    feature_inputs = [(f.name, f"{p.name}__{f.name}") for p in view.source_feature_view_projections.values() for f in p.features]
    seen = [*event_inputs, *(name for name, _ in feature_inputs)]
    twice = [name for name in seen if seen.count(name) > 1]
    if twice:
        raise DefinitionError(f"{where}: what its function is given has names that differ; got '{twice[0]}' twice; rename one")
    text = textwrap.dedent(inspect.getsource(view.feature_transformation.udf))
    return OnDemand(
        view=view.name,
        event_inputs=tuple(event_inputs),
        feature_inputs=tuple(feature_inputs),
        outputs=tuple(f.name for f in view.features),
        source_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _batch(view: BatchFeatureView, declared: _Declared) -> BatchView:
    where = f"batch view '{view.name}'"
    if getattr(view.mode, "value", view.mode) != "sql" or view.udf is None or not isinstance(view.batch_source, FileSource):
        raise DefinitionError(
            f"{where}: a batch view is SQL over a source's history, kept in a file; got mode='{view.mode}'; "
            "write @batch_feature_view(mode='sql', source=FileSource(path=…)) over a function that returns the SQL"
        )
    history = view.tags.get("history", "")
    if history not in declared.sources:
        raise DefinitionError(
            f"{where}: its tag history names the source whose history its SQL reads; got history='{history}'; "
            f"write tags={{'history': …}} with one of {_listed(declared.sources)}"
        )
    key = declared.key(view)
    return BatchView(
        view=view.name,
        key=key,
        features=tuple(f.name for f in view.features if f.name not in key),
        source=history,
        sql=_sql(where, view.udf),
        path=view.batch_source.path,
        timestamp=view.batch_source.timestamp_field,
    )


def _sql(where: str, function: Callable[[], str]) -> str:
    try:
        return textwrap.dedent(function()).strip()
    except Exception as e:
        raise DefinitionError(
            f"{where}: its function takes nothing and returns SQL; got {type(e).__name__}: {e}; return the text of a SELECT"
        ) from e
