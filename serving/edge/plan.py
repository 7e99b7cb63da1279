"""The windows' plan of a bundle: what a model needs of its service's plan, and what a device cannot have of it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec

from features.errors import SettingError
from features.inputs.columns import features_of, list_columns
from features.plan import Plan, Stage
from features.times import EventTimes, duration_text
from serving.edge.headrace_edge.events import OWN
from serving.edge.headrace_edge.plan import FORMAT
from serving.models.golden import SMALLEST, TOLERANCE
from serving.models.manifest import Manifest

NAME = re.compile(r"[\w.-]+")


def narrowed(plan: Plan, manifest: Manifest, sees: Collection[str]) -> Plan:
    """What the model takes of its plan; ``sees`` are the sources beside the spine whose events the device gets.

    Raises `SettingError` for what a device cannot have: batch views, a wait for the watermark, events of other sources.
    """
    what = f"model '{manifest.name}' {manifest.version}"
    if plan.mode == "event_time":
        raise SettingError(
            f"a device predicts an event when it happens; service '{plan.service}' has mode event_time, whose vectors wait "
            "for the watermark; train a model of a service without that tag"
        )
    features = set(features_of(plan, manifest.inputs))
    views = tuple(view for view in plan.on_demand if not features.isdisjoint(f"{view.view}__{name}" for name in view.outputs))
    features |= {full for view in views for _, full in view.feature_inputs}
    batch = [view.view for view in plan.batch if not features.isdisjoint(f"{view.view}__{name}" for name in view.features)]
    if batch:
        raise SettingError(
            f"a device has what its events say; {what} takes batch view '{batch[0]}', which is computed daily from all history "
            "and read from the online store; train a model of a service without it"
        )
    stages = tuple(_stage(stage, features) for stage in plan.windows if not features.isdisjoint(f.name for f in stage.features))
    known = {source.name for source in plan.sources}
    for name in sees:
        if name not in known:
            raise SettingError(f"--sees names a source of service '{plan.service}', {', '.join(sorted(known))}; got '{name}'")
    for stage in stages:
        if stage.source != plan.spine and stage.source not in sees:
            raise SettingError(
                f"a device has the events that it sees; {what} has windows over source '{stage.source}' "
                f"({', '.join(stage.views)}); write --sees {stage.source} if the device gets its events too, or train a model "
                "without them"
            )
    used = {plan.spine, *(stage.source for stage in stages)}
    sources = tuple(msgspec.structs.replace(source, arrival=None) for source in plan.sources if source.name in used)
    for source in sources:
        if not NAME.fullmatch(source.name) or any(column.name == OWN for column in source.columns):
            raise SettingError(
                f"a source has a name of letters, digits, '.', '_' and '-', and no column '{OWN}'; got {source.name}"
            )
    return msgspec.structs.replace(plan, sources=sources, windows=stages, on_demand=views, batch=())


def _stage(stage: Stage, features: Collection[str]) -> Stage:
    return msgspec.structs.replace(stage, features=tuple(f for f in stage.features if f.name in features))


def needs(plan: Plan) -> list[str]:
    """What the device must see for its windows to be those of the cloud, a line for each stage of a narrowed plan."""
    found = []
    for stage in plan.windows:
        key = ", ".join(stage.key)
        longest = duration_text(stage.longest_ms)
        found.append(
            f"every event of {stage.source} with the {key} of an event that it predicts, of {longest} before it, wherever it "
            f"happened ({', '.join(stage.views)})"
        )
    return found


def check_browser(manifest: Manifest) -> None:
    """Raises `SettingError` where a browser cannot have what the model gives: its ONNX Runtime gives tensors, no maps."""
    signature = manifest.signature
    for name in (signature.score[0], *signature.others):
        if signature.output(name).maps:
            raise SettingError(
                f"a browser's ONNX Runtime gives tensors; model '{manifest.name}' {manifest.version} gives '{name}' as a map of "
                "classes; convert it without ZipMap, or export with --runner python"
            )


def edge_plan(plan: Plan, part: Plan, manifest: Manifest, times: EventTimes) -> bytes:
    """``plan.json`` of a bundle: ``part`` is what `narrowed` made of ``plan``."""
    places = list_columns(part)
    found = {
        "format": FORMAT,
        "service": plan.service,
        "plan": plan.digest,
        "spine": plan.spine,
        "lateness_ms": plan.lateness_ms,
        "max_ahead_ms": times.max_ahead_ms,
        "max_age_days": times.max_age_days,
        "sources": [_source(plan, part, name) for name in (source.name for source in part.sources)],
        "windows": [_windows(part, stage) for stage in part.windows],
        "on_demand": [
            {
                "view": view.view,
                "event_inputs": view.event_inputs,
                "feature_inputs": view.feature_inputs,
                "outputs": view.outputs,
            }
            for view in part.on_demand
        ],
        "lists": {name: places[name] for name in manifest.inputs if name in places},
        "model": _model(manifest),
    }
    return msgspec.json.format(msgspec.json.encode(found))


def _source(plan: Plan, part: Plan, name: str) -> dict[str, Any]:
    source = part.source(name)
    columns = [
        {"name": one.name, "kind": one.type.kind, "precision": one.type.precision, "scale": one.type.scale}
        for one in source.columns
    ]
    required = plan.required(plan.source(name))  # of all windows of the service: what the cloud refuses is refused here
    known = {"name": name, "topic": source.topic, "time": source.time, "event_id": source.event_id}
    return {**known, "columns": columns, "required": required}


def _windows(part: Plan, stage: Stage) -> dict[str, Any]:
    features = []
    for feature in stage.features:
        aggregation, column = feature.aggregation, part.source(stage.source).column(feature.column).type
        parameter = aggregation.parameter
        relative = aggregation.relative(column)
        features.append(
            {
                "name": feature.name,
                "function": aggregation.function,
                "parameter": None if parameter is None else parameter.as_integer_ratio(),
                "column": feature.column,
                "window_ms": feature.window_ms,
                "fill": feature.fill,
                "gives": aggregation.gives(column).kind,
                "bits": relative == 0.0,
                "relative": relative,
            }
        )
    return {"source": stage.source, "key": stage.key, "features": features}


def _model(manifest: Manifest) -> dict[str, Any]:
    signature = manifest.signature
    return {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": manifest.sha256,
        "tensors": msgspec.to_builtins(signature.inputs),
        "outputs": msgspec.to_builtins(signature.outputs),
        "score": signature.score,
        "others": signature.others,
        "tolerance": TOLERANCE,
        "smallest": SMALLEST,
    }
