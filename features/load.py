"""A project's Feast objects, compiled to plans. The only file that imports Feast's definitions.

A definition is Python: whoever may write ``definitions.py`` may run code here, and so may whoever writes the registry.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

with warnings.catch_warnings():  # stream and batch views are "experimental" in Feast 0.67; a user can do nothing about it
    warnings.simplefilter("ignore")
    from feast import Entity, FeatureService, Field, KafkaSource, RequestSource, StreamFeatureView
    from feast.batch_feature_view import BatchFeatureView
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.types import Bool, FeastType, Float64, Int64, String

from features.aggregations import FUNCTIONS, check
from features.errors import DefinitionError
from features.plan import BatchView, Column, ColumnType, OnDemand, Plan, Source, WindowFeature, Windows

DEFAULT_LATENESS = timedelta(days=1)
LONGEST_WINDOW = timedelta(days=90)
TYPES = {
    "long": "int64",
    "int": "int64",
    "double": "float64",
    "float": "float64",
    "string": "string",
    "boolean": "bool",
    "timestamp": "timestamp",
}
FEAST_TYPES: dict[str, FeastType] = {
    "int64": Int64,
    "float64": Float64,
    "decimal": Float64,
    "string": String,
    "bool": Bool,
    "timestamp": Int64,
}

Columns = dict[str, list[Any]]
Function = Callable[[Columns], Columns]


class Project(msgspec.Struct, frozen=True):
    """A loaded project: its folder, its Feast objects, a plan for each service and the on-demand functions by view."""

    folder: Path
    objects: tuple[Any, ...]
    plans: dict[str, Plan]
    functions: dict[str, Function]

    def plan(self, service: str) -> Plan:
        """The plan of ``service``."""
        if service not in self.plans:
            raise DefinitionError(
                f"no feature service '{service}' in {self.folder / 'definitions.py'}; it has {', '.join(self.plans)}"
            )
        return self.plans[service]


def load(folder: Path) -> Project:
    """The project in ``folder``: imports its ``definitions.py`` by path and compiles every feature service in it.

    Raises `DefinitionError` for the first definition that breaks a rule.
    """
    module = _import(folder)
    objects = tuple(v for k, v in vars(module).items() if not k.startswith("_") and _is_definition(v))
    views = {o.name: o for o in objects if isinstance(o, StreamFeatureView | OnDemandFeatureView | BatchFeatureView)}
    sources = {o.name: _source(o) for o in objects if isinstance(o, KafkaSource)}
    entities = {o.name: o for o in objects if isinstance(o, Entity)}
    for view in views.values():
        if isinstance(view, StreamFeatureView):
            _derive_schema(view, sources, entities)
    services = [o for o in objects if isinstance(o, FeatureService)]
    if not services:
        raise DefinitionError(f"{folder / 'definitions.py'} has no FeatureService; add one per model")
    for service in services:  # made before the schemas were derived
        service.feature_view_projections = [views[p.name].projection for p in service.feature_view_projections]
    return Project(
        folder=folder,
        objects=objects,
        plans={s.name: _compile(s, views, sources, entities) for s in services},
        functions={n: v.feature_transformation.udf for n, v in views.items() if isinstance(v, OnDemandFeatureView)},
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
        spec.loader.exec_module(module)
    return module


def _is_definition(value: object) -> bool:
    kinds = (
        Entity,
        KafkaSource,
        RequestSource,
        StreamFeatureView,
        OnDemandFeatureView,
        BatchFeatureView,
        FeatureService,
    )
    return isinstance(value, kinds)


def _source(source: KafkaSource) -> Source:
    if "event_id" not in source.tags:
        raise DefinitionError(
            f"source '{source.name}': a stream names the column that identifies an event; got no tag 'event_id'; "
            "write tags={'event_id': '<column>'}"
        )
    if source.batch_source is None or not source.batch_source.path:
        raise DefinitionError(f"source '{source.name}': a stream has a history; give batch_source=FileSource(path=…)")
    delay = source.kafka_options.watermark_delay_threshold or timedelta(0)
    result = Source(
        name=source.name,
        topic=source.kafka_options.topic,
        columns=_columns(source.name, source.kafka_options.message_format.schema_json),
        time=source.timestamp_field,
        event_id=source.tags["event_id"],
        history=source.batch_source.path,
        delay_ms=_ms(delay),
        arrival=source.tags.get("arrival"),
    )
    if result.column(result.time).type.kind != "timestamp":
        raise DefinitionError(
            f"source '{source.name}': the event time is a timestamp; got {result.time} "
            f"{result.column(result.time).type}; declare it as '{result.time} timestamp'"
        )
    if result.column(result.event_id).type.kind not in {"int64", "string"}:
        raise DefinitionError(f"source '{source.name}': an event id is a long or a string; got {result.event_id}")
    return result


def _columns(source: str, schema: str) -> tuple[Column, ...]:
    """``a long, b decimal(12,2)`` as columns."""
    columns = []
    for part in re.split(r",(?![^(]*\))", schema):
        name, _, written = part.strip().partition(" ")
        written = written.strip().lower()
        decimal = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", written)
        if decimal:
            precision, scale = int(decimal[1]), int(decimal[2])
            if not 0 <= scale <= precision <= 18:
                raise DefinitionError(f"source '{source}': decimals have at most 18 digits; got '{part.strip()}'")
            columns.append(Column(name, ColumnType("decimal", precision, scale)))
        elif written in TYPES:
            columns.append(Column(name, ColumnType(TYPES[written])))  # type: ignore[arg-type]
        else:
            known = ", ".join([*TYPES, "decimal(p,s)"])
            raise DefinitionError(f"source '{source}': column types are {known}; got '{part.strip()}'; use one of them")
    return tuple(columns)


def _derive_schema(view: StreamFeatureView, sources: dict[str, Source], entities: dict[str, Entity]) -> None:
    """Give Feast the schema that follows from the aggregations: adding a window stays one line."""
    source = sources[view.stream_source.name]
    view.features = [
        Field(name=f.name.partition("__")[2], dtype=FEAST_TYPES[_result_kind(f, source)]) for f in _window_features(view, source)
    ]
    keys = _key(view, entities)
    view.entity_columns = [Field(name=k, dtype=FEAST_TYPES[source.column(k).type.kind]) for k in keys]
    view.projection.features = view.features


def _result_kind(feature: WindowFeature, source: Source) -> str:
    gives = FUNCTIONS[feature.function].gives
    return source.column(feature.column).type.kind if gives == "same" else gives


def _window_features(view: StreamFeatureView, source: Source) -> tuple[WindowFeature, ...]:
    if not view.aggregations:
        raise DefinitionError(f"view '{view.name}': a stream view has aggregations; got none; use a FeatureView instead")
    features = []
    for aggregation in view.aggregations:
        window = aggregation.time_window
        name = aggregation.resolved_name(window)
        if window is None or not timedelta(seconds=1) <= window <= LONGEST_WINDOW:
            raise DefinitionError(
                f"feature '{view.name}__{name}': a window is between 1 second and 90 days; got time_window={window}; "
                "write timedelta(…) within that"
            )
        if aggregation.slide_interval != window:
            raise DefinitionError(
                f"feature '{view.name}__{name}': windows slide with every event; got slide_interval="
                f"{aggregation.slide_interval}; leave slide_interval out"
            )
        column = source.column(aggregation.column)
        row = check(view.name, name, aggregation.function, column)
        fill = float(view.tags["fill"]) if "fill" in view.tags and row.empty is None else None
        features.append(WindowFeature(f"{view.name}__{name}", aggregation.function, column.name, _ms(window), fill))
    names = [f.name for f in features]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"two aggregations give '{name}'; names in a view differ; write Aggregation(name=…)")
    return tuple(features)


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _key(view: StreamFeatureView | BatchFeatureView, entities: dict[str, Entity]) -> tuple[str, ...]:
    return tuple(entities[name].join_key for name in view.entities)


def _compile(service: FeatureService, views: dict[str, Any], sources: dict[str, Source], entities: dict[str, Entity]) -> Plan:
    members = [views[p.name] for p in service.feature_view_projections]
    spine = service.tags.get("spine", "")
    if spine not in sources:
        raise DefinitionError(
            f"service '{service.name}': a service names its spine, the source whose every event is scored; "
            f"got tag spine='{spine}'; write tags={{'spine': …}} with one of {', '.join(sources)}"
        )
    mode = service.tags.get("mode", "arrival")
    if mode not in {"arrival", "event_time"}:
        raise DefinitionError(f"service '{service.name}': the modes are arrival and event_time; got mode='{mode}'")
    windows = _windows([v for v in members if isinstance(v, StreamFeatureView)], sources, entities)
    for stage in windows:
        for key in stage.key:
            sources[spine].column(key)
    batch = tuple(_batch(v, entities) for v in members if isinstance(v, BatchFeatureView))
    used = {spine, *(w.source for w in windows), *(b.source for b in batch)}
    return Plan(
        service=service.name,
        spine=spine,
        sources=tuple(s for n, s in sources.items() if n in used),
        windows=windows,
        on_demand=tuple(_on_demand(v, sources[spine]) for v in members if isinstance(v, OnDemandFeatureView)),
        batch=batch,
        inputs=tuple(f"{v.name}__{f.name}" for v in members for f in v.features if f.name not in _entity_keys(v, entities)),
        mode=mode,
        lateness_ms=_ms(_duration(service.tags["allowed_lateness"]))
        if "allowed_lateness" in service.tags
        else _ms(DEFAULT_LATENESS),
    )


def _entity_keys(view: Any, entities: dict[str, Entity]) -> set[str]:
    return set() if isinstance(view, OnDemandFeatureView) else set(_key(view, entities))


def _windows(views: Iterable[StreamFeatureView], sources: dict[str, Source], entities: dict[str, Entity]) -> tuple[Windows, ...]:
    """One stage for each pair of source and key, whichever views share it."""
    stages: dict[tuple[str, tuple[str, ...]], list[WindowFeature]] = {}
    for view in views:
        source = sources[view.stream_source.name]
        for key in _key(view, entities):
            source.column(key)
        stages.setdefault((source.name, _key(view, entities)), []).extend(_window_features(view, source))
    return tuple(Windows(source, key, tuple(features)) for (source, key), features in stages.items())


def _on_demand(view: OnDemandFeatureView, spine: Source) -> OnDemand:
    if getattr(view.mode, "value", view.mode) != "python":
        raise DefinitionError(
            f"on-demand view '{view.name}': functions take and give columns as lists; got mode='{view.mode}'; write mode='python'"
        )
    event_inputs = [f.name for s in view.source_request_sources.values() for f in s.schema]
    for name in event_inputs:
        spine.column(name)
    feature_inputs = [(f.name, f"{p.name}__{f.name}") for p in view.source_feature_view_projections.values() for f in p.features]
    text = textwrap.dedent(inspect.getsource(view.feature_transformation.udf))
    return OnDemand(
        view=view.name,
        event_inputs=tuple(event_inputs),
        feature_inputs=tuple(feature_inputs),
        outputs=tuple(f.name for f in view.features),
        source_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _batch(view: BatchFeatureView, entities: dict[str, Entity]) -> BatchView:
    if getattr(view.mode, "value", view.mode) != "sql" or view.udf is None or "history" not in view.tags:
        raise DefinitionError(
            f"batch view '{view.name}': a batch view is SQL over a source's history; "
            "write @batch_feature_view(mode='sql', tags={'history': '<source>'}) over a function that returns the SQL"
        )
    return BatchView(
        view=view.name,
        key=_key(view, entities),
        features=tuple(f.name for f in view.features if f.name not in _key(view, entities)),
        source=view.tags["history"],
        sql=textwrap.dedent(view.udf()).strip(),
        path=view.batch_source.path,
        timestamp=view.batch_source.timestamp_field,
    )


def _duration(text: str) -> timedelta:
    """``36h`` as a timedelta; the units are s, m, h, d."""
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if not match:
        raise DefinitionError(f"a duration is a number and a unit (s, m, h, d); got '{text}'; write '36h', say")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[match[2]]
    return timedelta(**{unit: int(match[1])})
