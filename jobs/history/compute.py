"""Features over history: the plan, run by DuckDB, for every spine row of a time range."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import SettingError
from features.inputs import on_demand
from features.inputs.arrow import from_list, to_list
from features.plan import BatchView, OnDemand, Plan, Source
from features.service import Function, Service
from features.sql.duckdb import features_sql
from features.sql.duckdb.batch_views import as_of_column, batch_sql, incomplete_column
from features.sql.quoting import literal, quoted
from features.times import EVENT_TIMES, EventTimes, Span
from jobs.history.batch_file import check_definition
from jobs.history.files import connect
from jobs.history.tables import File, create_table

WIDE = pa.decimal128(38, 0)
"""What DuckDB's HUGEINT is in Arrow."""
Progress = Callable[[str, int, int], None]
"""Told what begins, how many steps are done, and of how many."""


class Request(msgspec.Struct, frozen=True):
    """Which rows of a project's histories are wanted."""

    folder: Path
    plan: Plan
    times: Span
    events: Path | None = None
    histories: Mapping[str, Path] = {}
    event_times: EventTimes = EVENT_TIMES

    def history(self, source: Source) -> Path:
        """Where the rows of ``source`` are."""
        return self.histories.get(source.name, self.folder / source.history)


def compute(
    service: Service,
    *,
    wanted: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    events: Path | None = None,
    histories: Mapping[str, Path] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> pa.Table:
    """The spine's columns and the model's inputs of every spine row with start <= event time < end, in the order of the file.

    Then, for each batch view, ``_as_of_<view>`` and ``_incomplete_<view>``: the time of its row, and why there is none to use.
    ``wanted``: other features than the inputs, by full name; those that on-demand functions alone read are computed anyway.
    The rows come from the spine's history or, if given, from the file ``events``. Then the history is what came before
    these: the rows that have an id of the events are left out of it, and a history that does not exist is empty. All
    earlier rows contribute, those before ``start_ms`` too. Times are UTC milliseconds, as is the event time in the result.

    Raises `SettingError` for a file that is not there or does not fit its source.
    """
    plan = service.plan
    request = Request(service.folder, plan, Span(start_ms, end_ms), events, histories or {}, service.event_times)
    unknown = set(request.histories) - {source.name for source in plan.sources}
    if unknown:
        raise SettingError(
            f"a history belongs to a source of service '{service.name}'; got {', '.join(sorted(unknown))}; "
            f"use {', '.join(source.name for source in plan.sources)}"
        )
    step = _Steps(on_progress, len(_read_sources(plan)) + len(plan.batch) + len(plan.on_demand) + 1)
    with connect(threads) as connection:
        for source in _read_sources(plan):
            step(f"reading {source.name}")
            required, needed = plan.required(source), _needed(request, source)
            create_table(connection, source, _files(request, source), required, needed, request.event_times)
        step("windows")
        features = _narrow(plan, _columns(connection.sql(features_sql(plan)).to_arrow_table()))
        spine = _spine(connection, plan)
        for batch in plan.batch:
            step(batch.view)
            features |= _batch_features(connection, request, batch)
    for view in plan.on_demand:
        step(view.view)
        features |= _on_demand_features(view, service.functions[view.view], spine, features)
    step("done")
    rows = [column for batch in plan.batch for column in (as_of_column(batch), incomplete_column(batch))]
    return pa.table({**_columns(spine), **{name: features[name] for name in (*(wanted or plan.inputs), *rows)}})


def write(table: pa.Table, path: Path) -> None:
    """Write ``table`` as Parquet; a reader sees a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


class _Steps:
    """Counts the steps for whoever watches."""

    def __init__(self, on_progress: Progress | None, total: int) -> None:
        self.on_progress, self.done, self.total = on_progress, -1, total

    def __call__(self, what: str) -> None:
        self.done += 1
        if self.on_progress:
            self.on_progress(what, self.done, self.total)


def _read_sources(plan: Plan) -> list[Source]:
    """The spine and the windows' sources; a batch view's has been read when the view was made."""
    used = {plan.spine, *(stage.source for stage in plan.windows)}
    return [source for source in plan.sources if source.name in used]


def _files(request: Request, source: Source) -> list[File]:
    history = request.history(source)
    if source.name != request.plan.spine:
        return [File(history)]
    if request.events is None:
        return [File(history, queries=request.times)]
    events = File(request.events, queries=request.times)
    if source.name not in request.histories and not history.exists() and "*" not in history.name:
        return [events]
    return [File(history), events]


def _needed(request: Request, source: Source) -> Span:
    """The times of the rows that lie in a window of a query."""
    if request.times.start_ms is None:
        return request.times
    longest = max((stage.longest_ms for stage in request.plan.windows if stage.source == source.name), default=1)
    return Span(request.times.start_ms + 1 - longest, request.times.end_ms)


def _narrow(plan: Plan, features: dict[str, pa.ChunkedArray]) -> dict[str, pa.ChunkedArray]:
    """Sums of longs as longs; where one of a feature's is beyond 64 bits, they stay decimals of 38 digits."""
    for feature in plan.window_features:
        if features[feature.name].type == WIDE:
            with suppress(pa.ArrowInvalid):
                features[feature.name] = features[feature.name].cast(pa.int64())
    return features


def _spine(connection: duckdb.DuckDBPyConnection, plan: Plan) -> pa.Table:
    columns = ", ".join(quoted(column.name) for column in plan.spine_source.columns)
    spine = quoted(plan.spine)
    return connection.sql(f"SELECT {columns} FROM {spine} WHERE _row IS NOT NULL ORDER BY _row").to_arrow_table()


def _batch_features(connection: duckdb.DuckDBPyConnection, request: Request, view: BatchView) -> dict[str, pa.ChunkedArray]:
    """What `batch_sql` gives, by column."""
    path, plan = request.folder / view.path, request.plan
    if not path.is_file():
        raise SettingError(
            f"batch view '{view.view}' is computed daily before it is read; no file {path}; "
            f"run 'headrace batch-views {plan.service} --from DAY --to DAY'"
        )
    check_definition(path, plan, view, request.times.end_ms)
    try:
        table = connection.sql(batch_sql(plan, view, f"read_parquet({literal(str(path))})")).to_arrow_table()
    except duckdb.Error as error:
        raise SettingError(
            f"batch view '{view.view}' cannot be read from {path}: {str(error).splitlines()[0]}; remove it, "
            f"and run 'headrace batch-views {plan.service} --from DAY --to DAY'"
        ) from None
    return _columns(table)


def _on_demand_features(
    view: OnDemand, function: Function, spine: pa.Table, features: Mapping[str, pa.ChunkedArray]
) -> dict[str, pa.ChunkedArray]:
    made = on_demand.call(view, function, _columns(spine), features, to_list, spine.num_rows)
    return {name: from_list(values) for name, values in made.items()}


def _columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(table.column_names, table.columns, strict=True))
