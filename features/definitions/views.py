"""What each kind of Feast view is compiled to: stages of windows, on-demand functions, batch views."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from features.definitions import rules
from features.definitions.aggregations import check
from features.definitions.declared import Declared, listed
from features.definitions.functions import written
from features.errors import DefinitionError
from features.plan import BatchView, OnDemand, Source, Stage, WindowFeature


def stages(views: Iterable[Any], declared: Declared) -> tuple[Stage, ...]:
    """One stage for each pair of source and key, whichever stream views share it."""
    features: dict[tuple[str, tuple[str, ...]], list[WindowFeature]] = {}
    for view in views:
        source = declared.source(view)
        features.setdefault((source.name, declared.key(view)), []).extend(window_features(view, source))
    return tuple(Stage(source, key, tuple(several)) for (source, key), several in features.items())


def window_features(view: Any, source: Source) -> tuple[WindowFeature, ...]:
    """The features of a stream view over ``source``, one for each aggregation."""
    if not view.aggregations:
        raise DefinitionError(
            f"view '{view.name}': a stream view has aggregations; got none; write aggregations=[Aggregation(…)], "
            "or use an on-demand view"
        )
    features: dict[str, WindowFeature] = {}
    for aggregation in view.aggregations:
        name = aggregation.resolved_name(aggregation.time_window)
        feature = _window_feature(view, name, aggregation, source)
        if name.lower() in features:
            raise DefinitionError(
                f"view '{view.name}': the names of its features differ in more than case; got '{name}' twice; "
                "write Aggregation(name=…)"
            )
        features[name.lower()] = feature
    if "fill" in view.tags:
        rules.check_fill(view.name, view.tags["fill"])
    return tuple(features.values())


def _window_feature(view: Any, name: str, aggregation: Any, source: Source) -> WindowFeature:
    full = f"{view.name}__{name}"
    window_ms = rules.window(full, aggregation.time_window, aggregation.slide_interval)
    column = rules.column(source, aggregation.column, f"feature '{full}': an aggregation is of a column of the view's source")
    feature = WindowFeature(full, aggregation.function, column.name, window_ms)
    check(feature, column)
    rules.check_name("feature", name)
    rules.check_not_ours(view.name, name)
    if "fill" not in view.tags or feature.aggregation.row.empty is not None:
        return feature
    return msgspec.structs.replace(feature, fill=rules.fill(feature, column, view.tags["fill"]))


def has_function(view: Any) -> bool:
    """Whether an on-demand view is of a Python function."""
    return hasattr(view.feature_transformation, "udf")


def on_demand(view: Any, spine: Source) -> OnDemand:
    """An on-demand view, in a service over ``spine``."""
    where = f"on-demand view '{view.name}'"
    if _mode(view) != "python" or view.singleton or not has_function(view):
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
    text = written(view.feature_transformation.udf, where)
    return OnDemand(
        view=view.name,
        event_inputs=tuple(event_inputs),
        feature_inputs=tuple(feature_inputs),
        outputs=tuple(f.name for f in view.features),
        source_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def batch(view: Any, declared: Declared) -> BatchView:
    """A batch view in SQL over the history of one of the sources."""
    where = f"batch view '{view.name}'"
    file = declared.files[view.name]
    if _mode(view) != "sql" or view.udf is None or file is None:
        raise DefinitionError(
            f"{where}: a batch view is SQL over a source's history, kept in a file; got mode='{view.mode}'; "
            "write @batch_feature_view(mode='sql', source=FileSource(path=…)) over a function that returns the SQL"
        )
    history = view.tags.get("history", "")
    if history not in declared.sources:
        raise DefinitionError(
            f"{where}: its tag history names the source whose history its SQL reads; got history='{history}'; "
            f"write tags={{'history': …}} with one of {listed(declared.sources)}"
        )
    key = declared.key(view)
    features = tuple(f.name for f in view.features if f.name not in key)
    rules.check_file_columns(where, (*key, file.timestamp_field, *features))
    return BatchView(
        view=view.name,
        key=key,
        features=features,
        source=history,
        sql=_sql(where, view.udf),
        path=file.path,
        timestamp=file.timestamp_field,
        ttl_ms=rules.ttl(where, view.ttl),
    )


def _mode(view: Any) -> str:
    return str(getattr(view.mode, "value", view.mode))


def _sql(where: str, function: Callable[[], str]) -> str:
    try:
        return textwrap.dedent(function()).strip().rstrip("; \n")
    except Exception as error:
        raise DefinitionError(
            f"{where}: its function takes nothing and returns SQL; got {type(error).__name__}: {error}; "
            "return the text of a SELECT"
        ) from error
