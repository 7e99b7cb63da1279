"""One event explained: what it was given, what history says, and the rows that each value is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow as pa

from features.errors import SettingError
from features.inputs.arrow import to_list
from features.inputs.columns import all_features, columns_of, list_columns
from features.plan import BatchView, OnDemand, Plan, Stage, WindowFeature
from features.service import Service
from features.sql.duckdb.batch_views import as_of_column, incomplete_column
from features.times import Span, duration_text, moment_text
from jobs.audit.audit import Begins, of_beginning
from jobs.audit.causes import Began
from jobs.audit.compare import Tally
from jobs.audit.comparison import Cause
from jobs.audit.find import Arrived, headers_of, late_after, published
from jobs.audit.ledger import added
from jobs.audit.rows import History, Row
from jobs.audit.served import Served, of_prediction
from jobs.audit.values import kinds_of
from jobs.history.compute import Progress, compute
from jobs.history.places import Written
from schemas import FeatureVector, Prediction


class Value(msgspec.Struct, frozen=True):
    """One feature of the event."""

    feature: str
    of: str
    """The stage, batch view or on-demand view."""
    text: str
    """What it is, in words."""
    served: Any
    """None where it was not served, too: ``was_served`` tells."""
    was_served: bool
    recomputed: Any
    cause: Cause | None
    """Why the two differ; None: they do not."""
    window_ms: int | None = None
    rows: int | None = None
    """How many rows its window holds, by history."""
    inputs: dict[str, Any] | None = None
    """What an on-demand function was given, by the names it knows."""


class Windows(msgspec.Struct, frozen=True):
    """The windows of one stage, and the rows in and beside them. Times are UTC milliseconds."""

    stage: str
    source: str
    key: dict[str, Any]
    longest_ms: int
    columns: tuple[str, ...]
    rows: list[Row]
    late: list[Arrived]
    """Rows in the longest window that came after the event had been given its vector."""


class BatchRow(msgspec.Struct, frozen=True):
    """The row of a batch view that the event had, and the one that it should have had. Times are UTC milliseconds."""

    view: str
    key: dict[str, Any]
    served_as_of: int | None
    served_incomplete: str | None
    """Why it had none: ``missing``, ``too_old`` or ``too_new``."""
    as_of: int | None
    """By history: the newest row at or before the event."""
    incomplete: str | None
    ttl_ms: int
    sql: str
    """What a row is computed by, from the source's rows before its day."""
    source: str


class Explanation(msgspec.Struct, frozen=True):
    """One event. Times are UTC milliseconds."""

    service: str
    plan: str
    """The first 12 hex digits of the digest of the definitions as they are."""
    event_id: int | str
    event_time: int
    in_history: bool
    event: dict[str, Any]
    """By history, or as published where history has no such event."""
    published: dict[str, Any] | None
    """As it was published, where Kafka still has it."""
    headers: dict[str, str]
    """Of its record: the request and the trace that it was published by, where it was over HTTP."""
    prediction: Prediction | None
    """With its receipt; None: the event was never served."""
    complete: bool | None
    """Whether its windows were whole, by the feature vector."""
    values: list[Value]
    windows: list[Windows]
    batch: list[BatchRow]


def explain(
    service: Service,
    client: Mapping[str, Any],
    event_id: int | str,
    found: tuple[Prediction, int] | None,
    histories: Mapping[str, Written] | None = None,
    on_progress: Progress | None = None,
    begins: Begins = dict,
) -> Explanation:
    """Explain an event. ``found``: its prediction and the partition of it; None: it was never served, and is in history alone.
    ``begins`` is called where nothing else explains a difference.

    Raises `SettingError` where history has it neither.
    """
    plan, history = service.plan, History(service, histories or {})
    prediction = found[0] if found else None
    origin = found[0].receipt.origin if found else None
    vector, event = (None, None) if found is None else published(plan, client, of_prediction(*found), origin)
    in_history_at = history.find(event_id)
    at = prediction.event_time if prediction else in_history_at
    if at is None:
        raise SettingError(
            f"an event is explained by its receipt and by history; {plan.predictions_topic} has none of event {event_id}, "
            f"nor has the history of '{plan.spine}'; name it with --history {plan.spine}=FILE"
        )
    in_history = in_history_at == at
    table = _true_row(service, event_id, at, None if in_history else event, histories, on_progress)
    row = {name: to_list(table[name])[0] for name in table.column_names}
    late = [] if prediction is None else late_after(plan, client, prediction, row)
    span = Span(at, at + 1)
    causes, served = _compared(
        service, found, vector, table, late, lambda: of_beginning(service, span, histories, begins()) if in_history else None
    )
    around = {stage.name: history.around(stage, row) for stage in plan.windows}
    return Explanation(
        service=service.name,
        plan=plan.short_digest,
        event_id=event_id,
        event_time=at,
        in_history=in_history,
        event={column.name: row[column.name] for column in plan.spine_source.columns},
        published=None if event is None else dict(event),
        headers={} if origin is None else headers_of(client, origin),
        prediction=prediction,
        complete=vector.complete if vector else served.whole if served else None,
        values=_values(plan, row, served, causes, around),
        windows=[_windows(stage, row, around[stage.name], late) for stage in plan.windows],
        batch=[_batch(view, row, served) for view in plan.batch],
    )


def _true_row(
    service: Service,
    event_id: int | str,
    at: int,
    event: Mapping[str, Any] | None,
    histories: Mapping[str, Written] | None,
    on_progress: Progress | None,
) -> pa.Table:
    """History's values of the event; of one that history lacks, as published, after what history has."""
    wanted, source = all_features(service.plan), service.plan.spine_source
    with TemporaryDirectory() as folder:
        events = None
        if event is not None:
            events = Path(folder) / "event.jsonl"
            events.write_bytes(msgspec.json.encode(event) + b"\n")
        table = compute(
            service, wanted=wanted, start_ms=at, end_ms=at + 1, events=events, histories=histories, on_progress=on_progress
        )
    ids = table[source.event_id].to_pylist()
    if event_id not in ids:
        raise SettingError(
            f"the history of '{source.name}' has no event {event_id} at {moment_text(at)}, and Kafka no longer has its record; "
            f"bring history up to date, or name it with --history {source.name}=FILE"
        )
    return table.slice(ids.index(event_id), 1)


def _compared(
    service: Service,
    found: tuple[Prediction, int] | None,
    vector: FeatureVector | None,
    table: pa.Table,
    late: Sequence[Arrived],
    began: Began,
) -> tuple[dict[str, Cause], Served | None]:
    """The causes of the values that differ, by feature, and what was served, the vector's own values too."""
    if found is None:
        return {}, None
    served = of_prediction(*found)
    if vector is not None:
        values = {**vector.features, **served.values}
        served = msgspec.structs.replace(served, values=values, whole=vector.complete)
    tally = Tally(service.plan, service.functions)
    ledger = added((one.place, one.event_time, one.values) for one in late)
    return {one.feature: cause for one, cause in tally.add(table, [served], lambda places: ledger, began)}, served


def _values(
    plan: Plan, row: Mapping[str, Any], served: Served | None, causes: Mapping[str, Cause], around: Mapping[str, Sequence[Row]]
) -> list[Value]:
    kinds, given = kinds_of(plan), {} if served is None else _by_feature(plan, served)
    values = []
    for name in (*all_features(plan), *(name for name in given if name not in kinds)):
        kind = kinds.get(name)
        more: dict[str, Any] = {}
        if isinstance(kind, tuple):
            stage, feature = kind
            more = {"window_ms": feature.window_ms, "rows": _count(around[stage.name], row[plan.spine_source.time], feature)}
            of, text = stage.name, _window_text(feature, stage, row)
        elif isinstance(kind, OnDemand):
            of, text = kind.view, f"function {kind.view} of {', '.join(_inputs(kind, row, given))}"
            more = {"inputs": _inputs(kind, row, given)}
        elif isinstance(kind, BatchView):
            of, text = kind.view, f"computed daily from {kind.source}, by {_key_text(kind.key, row)}"
        else:
            of, text = "", "a feature that the definitions no longer have"
        values.append(
            Value(
                feature=name,
                of=of,
                text=text,
                served=given.get(name),
                was_served=name in given,
                recomputed=row.get(name),
                cause=causes.get(name),
                **more,
            )
        )
    return values


def _by_feature(plan: Plan, served: Served) -> dict[str, Any]:
    """The served values, lists whole again."""
    of_lists, columns = list_columns(plan), columns_of(plan)
    values = {name: value for name, value in served.values.items() if name not in of_lists}
    for name, of in columns.items():
        if name not in values and set(of) <= served.values.keys():
            values[name] = [value for value in (served.values[column] for column in of) if value is not None]
    return values


def _inputs(view: OnDemand, row: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the function was given: served values where they are known."""
    return {name: row[name] for name in view.event_inputs} | {
        seen: given.get(full, row.get(full)) for seen, full in view.feature_inputs
    }


def _count(rows: Sequence[Row], at: int, feature: WindowFeature) -> int:
    return sum(row.where == "in" and row.event_time > at - feature.window_ms for row in rows)


def _window_text(feature: WindowFeature, stage: Stage, row: Mapping[str, Any]) -> str:
    """``mean of amount over 7d of payments, by account 12``."""
    length = duration_text(feature.window_ms)
    return f"{feature.function} of {feature.column} over {length} of {stage.source}, by {_key_text(stage.key, row)}"


def _key_text(key: Sequence[str], row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {row[name]}" for name in key)


def _windows(stage: Stage, row: Mapping[str, Any], rows: list[Row], late: Sequence[Arrived]) -> Windows:
    views = {feature.view for feature in stage.features}
    own = {(one.origin, one.event_time): one for one in late if one.place.source == stage.source and one.place.view in views}
    return Windows(
        stage=stage.name,
        source=stage.source,
        key={name: row[name] for name in stage.key},
        longest_ms=stage.longest_ms,
        columns=stage.columns,
        rows=rows,
        late=sorted(own.values(), key=lambda one: one.event_time),
    )


def _batch(view: BatchView, row: Mapping[str, Any], served: Served | None) -> BatchRow:
    return BatchRow(
        view=view.view,
        key={name: row[name] for name in view.key},
        served_as_of=served.batch_as_of.get(view.view) if served else None,
        served_incomplete=served.incomplete.get(view.view) if served else None,
        as_of=row[as_of_column(view)],
        incomplete=row[incomplete_column(view)],
        ttl_ms=view.ttl_ms,
        sql=view.sql,
        source=view.source,
    )
