"""A feature service, compiled to its plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from features.definitions import rules, views
from features.definitions.declared import Declared, listed
from features.errors import DefinitionError
from features.inputs.columns import list_columns, window_types
from features.plan import MODES, VALID_UNTIL, Mode, Plan, Source
from features.times import duration_ms

DEFAULT_LATENESS = "1d"


def plan_of(service: Any, declared: Declared) -> Plan:
    """The plan of a Feast service. Raises `DefinitionError` for the first rule that it breaks."""
    where = f"service '{service.name}'"
    members = _members(where, service, declared)
    inputs = _inputs(where, service)
    spine = _spine(where, service, declared)
    mode = _mode(where, service)
    read = _with_sources(members, declared)
    stages = views.stages((view for name, view in read.items() if name in declared.streams), declared)
    batch = tuple(views.batch(view, declared) for name, view in read.items() if name in declared.batch)
    for stage in stages:
        rules.check_spine_key(where, spine, stage.key, declared.sources[stage.source])
    for view in batch:
        rules.check_spine_key(where, spine, view.key, spine)
    for entity in _entities(read.values(), declared):
        rules.check_entity(where, entity.name, entity.value_type.name, spine.column(entity.join_key))
    for entity in _entities((declared.batch[view.view] for view in batch), declared):
        rules.check_typed(where, entity.name, entity.value_type.name, spine.column(entity.join_key))
    sources = dict.fromkeys([spine.name, *(stage.source for stage in stages), *(view.source for view in batch)])
    plan = Plan(
        service=service.name,
        spine=spine.name,
        sources=tuple(declared.sources[name] for name in sources),
        windows=stages,
        on_demand=tuple(views.on_demand(view, spine) for name, view in members.items() if name in declared.on_demand),
        batch=batch,
        inputs=inputs,
        mode=mode,
        lateness_ms=duration_ms(f"{where}: allowed_lateness", service.tags.get("allowed_lateness", DEFAULT_LATENESS)),
    )
    rules.check_time_inputs(where, inputs, window_types(plan))
    rules.check_list_inputs(where, list_columns(plan), {*inputs, *(feature.name for feature in plan.window_features)})
    return plan


def select(user: str, projection: Any, declared: Declared) -> Any:
    """The view of a projection, which is given the features it chooses: it was made before the stream views had any."""
    view = declared.view(user, projection.name)
    if projection.name_to_use() != projection.name or projection.join_key_map:
        raise DefinitionError(
            f"{user} takes views under their own names and keys; got '{projection.name_to_use()}'; leave it as it is"
        )
    if view.name not in declared.streams:
        for field in view.features:
            rules.check_not_ours(view.name, field.name)
    features = {f.name: f for f in view.features if f.name != VALID_UNTIL}
    wanted = projection.desired_features or [f.name for f in projection.features] or list(features)
    unknown = [name for name in wanted if name not in features]
    if unknown:
        raise DefinitionError(f"{user} takes features that view '{view.name}' has; got '{unknown[0]}'; use {', '.join(features)}")
    projection.features, projection.desired_features = [features[name] for name in wanted], []
    return view


def _members(where: str, service: Any, declared: Declared) -> dict[str, Any]:
    """The views that the service names."""
    if service._pending_feature_refs:
        came = service._pending_feature_refs[0]
        raise DefinitionError(
            f"{where} takes views, as view or view[['feature']]; got the string '{came}'; write the view itself"
        )
    return {view.name: view for view in (select(where, p, declared) for p in service.feature_view_projections)}


def _inputs(where: str, service: Any) -> tuple[str, ...]:
    inputs = tuple(f"{p.name}__{f.name}" for p in service.feature_view_projections for f in p.features)
    twice = [name for name in inputs if inputs.count(name) > 1]
    if twice or not inputs:
        raise DefinitionError(
            f"{where}: each feature is an input once; got {twice[0] if twice else 'none'}; write features=[…] with each view once"
        )
    return inputs


def _spine(where: str, service: Any, declared: Declared) -> Source:
    spine = service.tags.get("spine", "")
    if spine not in declared.sources:
        raise DefinitionError(
            f"{where}: a service names its spine, the source whose every event is scored; "
            f"got tag spine='{spine}'; write tags={{'spine': …}} with one of {listed(declared.sources)}"
        )
    return declared.sources[spine]


def _mode(where: str, service: Any) -> Mode:
    mode = service.tags.get("mode", MODES[0])
    if mode not in MODES:
        raise DefinitionError(f"{where}: the modes are {' and '.join(MODES)}; got mode='{mode}'; write one of them")
    return mode  # type: ignore[no-any-return]


def _entities(views: Iterable[Any], declared: Declared) -> Iterator[Any]:
    """The entities by which the stream and batch views are keyed."""
    for view in views:
        if view.name in declared.streams or view.name in declared.batch:
            yield from (declared.entities[name] for name in view.entities)


def _with_sources(members: dict[str, Any], declared: Declared) -> dict[str, Any]:
    """The members, and the views that its on-demand views read."""
    read = dict(members)
    for name, view in members.items():
        if name in declared.on_demand:
            read |= {source: declared.view(name, source) for source in view.source_feature_view_projections}
    return read
