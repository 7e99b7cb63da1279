"""Features over history: the plan, run by DuckDB, for every spine row of a time range.

Each stage and each batch view is a table of its own, with a row for each query, in order. DuckDB has as much memory as
`features.service.Resources` say; what does not fit lies on disk. The tables are then read side by side, some rows at a time,
which get their on-demand features and go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

import duckdb
import msgspec
import pyarrow as pa

from features.errors import SettingError
from features.inputs import on_demand
from features.inputs.arrow import from_list, to_list
from features.plan import BatchView, Plan, Source
from features.service import Service
from features.sql.duckdb import windows_sql
from features.sql.duckdb.batch_views import as_of_column, batch_sql, incomplete_column
from features.sql.quoting import literal, quoted
from features.times import Span
from jobs.history.batch_file import check_definition
from jobs.history.files import connect
from jobs.history.labels import LABEL, add_labels
from jobs.history.places import Written, exactly
from jobs.history.queries import (
    LABELS,
    QUERIES,
    Progress,
    Request,
    Steps,
    create_labels,
    create_queries,
    files_of,
    narrowed,
    requested,
    tables_of,
)
from jobs.history.rows_file import together, write
from jobs.history.scans import within_memory
from jobs.history.tables import create_table

__all__ = ["Progress", "compute", "stream_features", "write"]


Windows = Callable[[duckdb.DuckDBPyConnection, Plan, Steps], None]
"""Makes a table `stage_table` for each stage, of the sources' tables and the queries': its features, in the queries' order."""


def stage_table(number: int) -> str:
    """The table of the features of the stage at this place."""
    return f"_stage_{number}"


def windows_here(connection: duckdb.DuckDBPyConnection, plan: Plan, step: Steps) -> None:
    """The windows as DuckDB computes them."""
    for number, stage in enumerate(plan.windows):
        step(stage.name)
        connection.execute(f"CREATE TABLE {stage_table(number)} AS {windows_sql(plan, stage)}")


def compute(
    service: Service,
    *,
    wanted: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    events: Written | None = None,
    histories: Mapping[str, Written] | None = None,
    begins: Mapping[str, int] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> pa.Table:
    """What `stream_features` gives, as one table in memory."""
    return together(
        stream_features(
            service,
            wanted=wanted,
            start_ms=start_ms,
            end_ms=end_ms,
            events=events,
            histories=histories,
            begins=begins,
            threads=threads,
            on_progress=on_progress,
        )
    )


def stream_features(
    service: Service,
    *,
    wanted: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    events: Written | None = None,
    histories: Mapping[str, Written] | None = None,
    label: str | None = None,
    windows: Windows = windows_here,
    entities_at: int | None = None,
    begins: Mapping[str, int] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> Iterator[pa.Table]:
    """The spine's columns and the model's inputs of every spine row with start <= event time < end, in the order of the file.

    Then, for each batch view, ``_as_of_<view>`` and ``_incomplete_<view>``: the time of its row, and why there is none to use.
    Then ``label``, of the column ``<source>.<column>`` in ``label``, null where none is known. A table has up to `BATCH` rows; of
    no rows there is one table without any.

    ``wanted``: other features than the inputs, by full name; those that on-demand functions alone read are computed anyway.
    The rows come from the spine's history or, if given, from the file ``events``. Then the history is what came before
    these: the rows that have an id of the events are left out of it, and a history that does not exist is empty. All
    earlier rows contribute, those before ``start_ms`` too. Times are UTC milliseconds, as is the event time in the result.
    ``windows`` computes the windows; all else is computed here.
    ``entities_at`` is the time of the spine's rows where they are entities (`jobs.predict.entities`), which have none.
    ``begins``: by source, the time of the first row of it that counts; older ones are as if history did not have them.

    Raises `SettingError` for a file that is not there or does not fit its source, and where DuckDB's memory is too small.
    """
    plan = service.plan
    request = requested(service, Span(start_ms, end_ms), events, histories, label)
    request = msgspec.structs.replace(request, entities_at=entities_at, begins=begins or {})
    for batch in plan.batch:
        _check_batch(request, batch)
    sources = _read_sources(plan)
    parts = len(sources) + len(plan.windows) + len(plan.batch)
    step = Steps(on_progress, parts + 1)
    with within_memory(), closing(connect(threads, service.resources)) as connection:
        if label is not None:
            add_labels(connection, service, label, request.histories)
        for source in sources:
            step(f"reading {source.name}")
            required, needed = plan.required(source), _needed(request, source)
            create_table(connection, source, files_of(request, source), required, needed, request.event_times)
        step.rows_begin(parts, create_queries(connection, plan))
        windows(connection, plan, step)
        for number, batch in enumerate(plan.batch):
            step(batch.view)
            _create_batch(connection, request, batch, f"_batch_{number}")
        if label is not None:
            create_labels(connection, plan)
        for source in sources:
            connection.execute(f"DROP TABLE {quoted(source.name)}")
        names = [column.name for column in plan.spine_source.columns]
        last = [column for batch in plan.batch for column in (as_of_column(batch), incomplete_column(batch))]
        last += [LABEL] if label is not None else []
        for rows in tables_of(connection, _selected(connection, plan, label is not None)):
            step("rows")
            yield _with_on_demand(service, rows, names).select([*names, *(wanted or plan.inputs), *last])
        step("done")


def _read_sources(plan: Plan) -> list[Source]:
    """The spine and the windows' sources; a batch view's has been read when the view was made."""
    used = {plan.spine, *(stage.source for stage in plan.windows)}
    return [source for source in plan.sources if source.name in used]


def _needed(request: Request, source: Source) -> Span:
    """The times of the rows that lie in a window of a query."""
    starts = [request.begins[source.name]] if source.name in request.begins else []
    if request.times.start_ms is not None:
        longest = max((stage.longest_ms for stage in request.plan.windows if stage.source == source.name), default=1)
        starts.append(request.times.start_ms + 1 - longest)
    return Span(max(starts, default=None), request.times.end_ms)


def _check_batch(request: Request, view: BatchView) -> None:
    """Refuse a view that is not computed, or by another definition, before minutes of history are read."""
    path = request.folder / view.path
    if not path.is_file():
        raise SettingError(
            f"batch view '{view.view}' is computed daily before it is read; no file {path}; "
            f"run 'headrace batch-views {request.plan.service} --from DAY --to DAY'"
        )
    check_definition(path, request.plan, view, request.times.end_ms)


def _create_batch(connection: duckdb.DuckDBPyConnection, request: Request, view: BatchView, table: str) -> None:
    """Make a table of what `batch_sql` gives."""
    path, plan = request.folder / view.path, request.plan
    try:
        connection.execute(f"CREATE TABLE {table} AS {batch_sql(plan, view, f'read_parquet({literal(exactly(str(path)))})')}")
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise SettingError(
            f"batch view '{view.view}' cannot be read from {path}: {str(error).splitlines()[0]}; remove it, "
            f"and run 'headrace batch-views {plan.service} --from DAY --to DAY'"
        ) from None


def _selected(connection: duckdb.DuckDBPyConnection, plan: Plan, labelled: bool) -> str:
    """SQL of the queries' own columns and all that was computed of them. Each table has their rows in their order."""
    tables, columns = [QUERIES], [f"{QUERIES}.{quoted(column.name)}" for column in plan.spine_source.columns]
    for number, stage in enumerate(plan.windows):
        tables.append(stage_table(number))
        columns += narrowed(connection, tables[-1], [feature.name for feature in stage.features])
    for number, view in enumerate(plan.batch):
        tables.append(f"_batch_{number}")
        names = [*(f"{view.view}__{name}" for name in view.features), as_of_column(view), incomplete_column(view)]
        columns += [f"{tables[-1]}.{quoted(name)}" for name in names]
    if labelled:
        tables.append(LABELS)
        columns.append(f"{LABELS}.{LABEL}")
    rows = " POSITIONAL JOIN ".join(tables)
    return f"SELECT {', '.join(columns)} FROM {rows}"


def _with_on_demand(service: Service, rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The rows with the features that are made of them on demand."""
    event = {name: rows[name] for name in columns}
    features = {name: rows[name] for name in rows.column_names if name not in event}
    for view in service.plan.on_demand:
        made = on_demand.call(view, service.functions[view.view], event, features, to_list, rows.num_rows)
        features |= {name: from_list(values) for name, values in made.items()}
    return pa.table({**event, **features})
