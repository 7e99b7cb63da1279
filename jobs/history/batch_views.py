"""Batch views: computed from history for each day, kept as Parquet, and a day of them pushed to Feast's online store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import DefinitionError, SettingError
from features.feast.online import open_for_writing
from features.inputs.arrow import floats
from features.plan import BatchView, Plan, Source
from features.service import Service
from features.sql.quoting import quoted
from features.times import Span, day_ms
from jobs.history.compute import Progress, Request, write
from jobs.history.files import connect
from jobs.history.tables import File, create_table

TIME = pa.timestamp("ms", tz="UTC")


def compute_days(
    service: Service,
    first_day: date,
    last_day: date,
    histories: Mapping[str, Path] | None = None,
    on_progress: Progress | None = None,
) -> dict[str, pa.Table]:
    """The rows of every batch view of the service for each UTC day, both ends included: key, timestamp and features.

    A day's rows have its midnight as their timestamp and come from the source's rows before it.
    """
    plan = service.plan
    days = [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)]
    if not days:
        raise SettingError(f"the last day is not before the first; got {first_day} to {last_day}; swap them")
    times = service.event_times
    request = Request(service.folder, plan, Span(end_ms=day_ms(last_day)), histories=histories or {}, event_times=times)
    with connect() as connection:
        for source in {view.source: plan.source(view.source) for view in plan.batch}.values():
            _load(connection, request, source)
        tables = {}
        for number, view in enumerate(plan.batch):
            parts = []
            for done, day in enumerate(days):
                if on_progress:
                    on_progress(f"{view.view} {day}", number * len(days) + done, len(plan.batch) * len(days))
                parts.append(_day(connection, plan, view, day))
            tables[view.view] = pa.concat_tables(parts, promote_options="permissive")
        return tables


def materialize(
    service: Service,
    first_day: date,
    last_day: date,
    histories: Mapping[str, Path] | None = None,
    on_progress: Progress | None = None,
) -> dict[str, int]:
    """Write `compute_days` into the views' Parquet files, in place of what they had for these days; gives rows written."""
    tables = compute_days(service, first_day, last_day, histories, on_progress)
    for view in service.plan.batch:
        path = service.folder / view.path
        table = tables[view.view]
        if path.is_file():
            table = pa.concat_tables([_without(path, view, first_day, last_day), table], promote_options="permissive")
        write(table.sort_by([(view.timestamp, "ascending"), *((key, "ascending") for key in view.key)]), path)
    return {name: table.num_rows for name, table in tables.items()}


def push_online(service: Service, day: date) -> dict[str, int]:
    """Write the day's materialised rows of every batch view into the project's online store; gives rows written.

    The definitions are applied first. A key that has a row of a later day keeps it.
    """
    write_rows = open_for_writing(service)
    return {view.view: write_rows(view, _rows_of_day(service, view, day)) for view in service.plan.batch}


def _load(connection: duckdb.DuckDBPyConnection, request: Request, source: Source) -> None:
    """The source's rows as ``_history``.<name>, with the event time as a TIMESTAMPTZ again."""
    files, required = [File(request.history(source))], {source.time, source.event_id}
    create_table(connection, source, files, required, request.times, request.event_times)
    connection.execute("CREATE SCHEMA IF NOT EXISTS _history")
    columns = ", ".join(
        f"CAST(epoch_ms({name}) AS TIMESTAMPTZ) AS {name}" if column.type.kind == "timestamp" else name
        for column in source.columns
        for name in [quoted(column.name)]
    )
    table = quoted(source.name)
    connection.execute(f"CREATE TABLE _history.{table} AS SELECT {columns} FROM {table}")
    connection.execute(f"DROP TABLE {table}")


def _day(connection: duckdb.DuckDBPyConnection, plan: Plan, view: BatchView, day: date) -> pa.Table:
    source = plan.source(view.source)
    table = quoted(source.name)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM _history.{table} "
        f"WHERE {quoted(source.time)} < TIMESTAMPTZ '{midnight.isoformat()}'"
    )
    names = ", ".join(quoted(name) for name in (*view.key, *view.features))
    order = ", ".join(quoted(key) for key in view.key)
    try:
        rows = connection.sql(
            f"SELECT {names} FROM ({view.sql}\n) ORDER BY {order}", params={"day": midnight} if "$day" in view.sql else {}
        ).to_arrow_table()
    except duckdb.Error as error:
        raise DefinitionError(
            f"batch view '{view.view}': its SQL gives {', '.join((*view.key, *view.features))} from '{source.name}' before $day; "
            f"DuckDB says: {' '.join(str(error).split())}; fix the SQL"
        ) from None
    keys = rows.select(list(view.key)).group_by(list(view.key)).aggregate([])
    if keys.num_rows != rows.num_rows:
        raise DefinitionError(
            f"batch view '{view.view}': a day has one row for each key; got {rows.num_rows} rows of {keys.num_rows} keys "
            f"on {day}; group by {order}"
        )
    times = pa.array([day_ms(day)] * rows.num_rows, pa.int64()).cast(TIME)
    return _without_nan(floats(rows)).add_column(len(view.key), pa.field(view.timestamp, TIME), times)


def _without_nan(rows: pa.Table) -> pa.Table:
    """NaN as null, which it becomes in the online store too."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_floating(field.type):
            column = rows.column(place)
            rows = rows.set_column(place, field, pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column))
    return rows


def _without(path: Path, view: BatchView, first_day: date, last_day: date) -> pa.Table:
    """What the file has for other days."""
    table = pq.read_table(path)
    times = table[view.timestamp].cast(TIME).cast(pa.int64())
    return table.filter(pc.or_(pc.less(times, day_ms(first_day)), pc.greater(times, day_ms(last_day))))


def _rows_of_day(service: Service, view: BatchView, day: date) -> pa.Table:
    path = service.folder / view.path
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if not path.is_file():
        raise SettingError(f"batch view '{view.view}': a day is materialised before it is pushed; no file {path}; materialize it")
    rows = pq.read_table(path, filters=[(view.timestamp, "==", pa.scalar(midnight, TIME))])
    if not rows.num_rows:
        raise SettingError(f"batch view '{view.view}': {path} has no rows of {day}; materialize that day")
    return rows
