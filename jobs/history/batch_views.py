"""Batch views: computed from history for each day, kept as Parquet, and the newest of them pushed to Feast's online store."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import DefinitionError, SettingError
from features.plan import BatchView, Plan, Source
from features.service import Service
from features.sql.quoting import quoted
from features.times import Span, day_ms
from jobs.history.compute import Progress, Request, floats, write
from jobs.history.files import connect
from jobs.history.tables import File, create_table

ROWS_A_WRITE = 5000
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
    request = Request(service.folder, plan, Span(end_ms=day_ms(last_day)), histories=histories or {})
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

    The definitions are applied first. Feast lets an older value overwrite a newer one: a key that has a row of a later
    day keeps it.
    """
    from feast import Entity
    from feast.batch_feature_view import BatchFeatureView

    store = _applied(service)
    definitions = {o.name: o for o in service.objects if isinstance(o, BatchFeatureView)}
    entities = {o.join_key: o for o in service.objects if isinstance(o, Entity)}
    written: dict[str, int] = {}
    for view in service.plan.batch:
        types = [entities[key].value_type for key in view.key]
        rows = _rows_of_day(service, view, day)
        for first in range(0, len(rows), ROWS_A_WRITE):
            part = rows.iloc[first : first + ROWS_A_WRITE]
            part = part[_not_newer(store, definitions[view.view], view, types, part)]
            if len(part):
                store._get_provider().ingest_df(definitions[view.view], part)  # the registry cannot give back a SQL view
            written[view.view] = written.get(view.view, 0) + len(part)
    return written


def clear_online(service: Service) -> None:
    """Forget the online rows of every batch view of the service: newer ones would keep out those of a replay of the past."""
    from feast.batch_feature_view import BatchFeatureView

    store, names = _applied(service), {view.view for view in service.plan.batch}
    views = [o for o in service.objects if isinstance(o, BatchFeatureView) and o.name in names]
    store._get_provider().update_infra(store.project, views, [], [], [], partial=True)


def _applied(service: Service) -> Any:
    """Feast's store, with the project's definitions in its registry."""
    from feast import FeatureStore

    store = FeatureStore(repo_path=str(service.folder))
    with warnings.catch_warnings():  # of what is "experimental" in Feast 0.67; a user can do nothing about it
        warnings.simplefilter("ignore")
        store.apply(list(service.objects))
    _let_readers_read(store)
    return store


def _let_readers_read(store: Any) -> None:
    """SQLite's write-ahead log, which a database keeps once set: without it the scorer's reads wait until a day is written."""
    online = store.config.online_store
    if online.type == "sqlite":
        with closing(sqlite3.connect(store.repo_path / online.path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")


def _load(connection: duckdb.DuckDBPyConnection, request: Request, source: Source) -> None:
    """The source's rows as ``_history``.<name>, with the event time as a TIMESTAMPTZ again."""
    create_table(connection, source, [File(request.history(source))], {source.time, source.event_id}, request.times)
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
            f"DuckDB says: {' '.join(str(error).split())}; mend the SQL"
        ) from None
    keys = rows.select(list(view.key)).group_by(list(view.key)).aggregate([])
    if keys.num_rows != rows.num_rows:
        raise DefinitionError(
            f"batch view '{view.view}': a day has one row for each key; got {rows.num_rows} rows of {keys.num_rows} keys "
            f"on {day}; group by {order}"
        )
    times = pa.array([day_ms(day)] * rows.num_rows, pa.int64()).cast(TIME)
    return floats(rows).add_column(len(view.key), pa.field(view.timestamp, TIME), times)


def _without(path: Path, view: BatchView, first_day: date, last_day: date) -> pa.Table:
    """What the file has for other days."""
    table = pq.read_table(path)
    times = table[view.timestamp].cast(TIME).cast(pa.int64())
    return table.filter(pc.or_(pc.less(times, day_ms(first_day)), pc.greater(times, day_ms(last_day))))


def _rows_of_day(service: Service, view: BatchView, day: date) -> pd.DataFrame:
    path = service.folder / view.path
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if not path.is_file():
        raise SettingError(f"batch view '{view.view}': a day is materialised before it is pushed; no file {path}; materialize it")
    rows: pd.DataFrame = pq.read_table(path, filters=[(view.timestamp, "==", pa.scalar(midnight, TIME))]).to_pandas()
    if rows.empty:
        raise SettingError(f"batch view '{view.view}': {path} has no rows of {day}; materialize that day")
    return rows


def _not_newer(store: Any, definition: Any, view: BatchView, types: Sequence[Any], rows: pd.DataFrame) -> list[bool]:
    """For each row, whether the online store has none of a later time for its key."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.type_map import python_values_to_proto_values

    columns = [python_values_to_proto_values(rows[key].tolist(), kind) for key, kind in zip(view.key, types, strict=True)]
    keys = [EntityKey(join_keys=view.key, entity_values=values) for values in zip(*columns, strict=True)]
    stored = store._get_provider().online_read(store.config, definition, keys, list(view.features))
    new = rows[view.timestamp].tolist()
    return [time is None or _utc(time) <= when for (time, _), when in zip(stored, new, strict=True)]


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
