"""Feast's offline store over our histories: exact windows, point-in-time joins and on-demand functions, as of each entity row.

A project names it in its feature_store.yaml::

    offline_store:
      type: jobs.history.feast_store.HeadraceOfflineStore
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NoReturn

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.repo_config import FeastConfigBaseModel

from features.errors import SettingError
from features.feast import hooks
from features.sql.quoting import literal, quoted
from features.times import EVENT_TIMES, EventTimes

hooks.install()


class HeadraceOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Its section of feature_store.yaml."""

    type: Literal["jobs.history.feast_store.HeadraceOfflineStore"] = "jobs.history.feast_store.HeadraceOfflineStore"
    threads: int = 2
    """How many threads DuckDB has."""
    max_age_days: int = EVENT_TIMES.max_age_days
    max_ahead_ms: int = EVENT_TIMES.max_ahead_ms
    """As ``stream.max_age_days`` and ``stream.max_ahead_ms`` are in headrace.toml: which event times histories may have."""


class HeadraceOfflineStore(OfflineStore):  # type: ignore[misc]
    """What Feast calls for history."""

    @staticmethod
    def get_historical_features(
        config: Any,
        feature_views: Sequence[Any],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        **others: Any,
    ) -> RetrievalJob:
        """The features of each entity row as of its time: a dataframe, or DuckDB SQL over the project's sources.

        Raises `SettingError` for rows that lack a key, a time or a column of a request source, and for what this store has not.
        """
        from jobs.history import entity_rows
        from jobs.history.feast_job import Retrieved
        from jobs.history.feast_views import wanted_of
        from jobs.history.retrieve import retrieve

        if entity_df is None:
            raise SettingError(
                "this offline store gives features as of entity rows; got entity_df=None; give a dataframe, or SQL such as "
                "'SELECT <key>, <time> AS event_timestamp FROM <source>'"
            )
        folder = _folder(config)
        rows = entity_df if isinstance(entity_df, pd.DataFrame) else _selected(config, entity_df, registry, project)
        time = entity_rows.time_column(rows)
        times = entity_rows.times(rows, time)
        wanted = wanted_of(folder, feature_views, feature_refs, registry, project, full_feature_names)
        entity_rows.check_names(map(str, rows.columns), [column.name for column in wanted.columns])
        first, last = (pd.Timestamp(end.as_py(), unit="ms", tz="UTC") for end in pc.min_max(times).values())
        metadata = RetrievalMetadata(
            features=feature_refs,
            keys=[str(name) for name in rows.columns if name != time],
            min_event_timestamp=first,
            max_event_timestamp=last,
        )
        own = config.offline_store
        possible = EventTimes(max_ahead_ms=own.max_ahead_ms, max_age_days=own.max_age_days)

        def compute() -> pa.Table:
            return retrieve(folder, wanted, rows, times, own.threads, possible)

        return Retrieved(folder, rows, compute, metadata, full_feature_names)

    @staticmethod
    def pull_latest_from_table_or_query(
        config: Any,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Of each key, the newest row of a file in a span of times, both ends included."""
        key = ", ".join(map(quoted, join_key_columns)) or "1"
        created = f", {quoted(created_timestamp_column)} DESC NULLS LAST" if created_timestamp_column else ""
        newest = f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {quoted(timestamp_field)} DESC{created}) = 1"
        columns = [*join_key_columns, *feature_name_columns, timestamp_field]
        columns += [created_timestamp_column] if created_timestamp_column else []
        return _stored(config, data_source, columns, timestamp_field, (start_date, end_date), newest)

    @staticmethod
    def pull_all_from_table_or_query(
        config: Any,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """The rows of a file in a span of times, both ends included."""
        columns = [*join_key_columns, *feature_name_columns, timestamp_field]
        columns += [created_timestamp_column] if created_timestamp_column else []
        return _stored(config, data_source, columns, timestamp_field, (start_date, end_date))

    @staticmethod
    def offline_write_batch(config: Any, feature_view: Any, table: pa.Table, progress: Callable[[int], Any] | None) -> None:
        """Nothing for rows that are in the view's file, as `feast materialize` has them; others raise `SettingError`."""
        source = feature_view.batch_source
        names = [column.name for column in feature_view.entity_columns] + [source.timestamp_field]
        kept = _stored(config, source, names, source.timestamp_field, (None, None)).to_arrow()
        given = table.select(names).cast(kept.schema)
        new = given.join(kept, names, join_type="left anti").num_rows
        if new:
            raise SettingError(
                f"histories are written by whoever records the stream; got {new} new rows of '{feature_view.name}' to write; "
                "add them to its file, or use 'headrace batch-views' for a batch view"
            )

    @staticmethod
    def write_logged_features(config: Any, data: pa.Table | Path, source: Any, logging_config: Any, registry: Any) -> NoReturn:
        """Refused: what was served is in the predictions' receipts."""
        raise SettingError(
            "what was served is in the receipts of the predictions topic; got features of a feature server to log; "
            "turn its logging off"
        )

    def get_table_column_names_and_types_from_data_source(self, config: Any, data_source: Any) -> Iterable[tuple[str, str]]:
        """A file's columns; decimals, which no type of Feast's is, as the doubles that they come back as."""
        for name, kind in super().get_table_column_names_and_types_from_data_source(config, data_source):
            yield name, "double" if kind.startswith("decimal") else kind


def _folder(config: Any) -> Path:
    return Path(config.repo_path or ".").resolve()


def _selected(config: Any, sql: str, registry: Any, project: str) -> pd.DataFrame:
    """What a SELECT over the project's sources gives; a source is a table of its name."""
    import duckdb
    from feast import FileSource

    from jobs.history.entity_rows import frame_of
    from jobs.history.files import connect

    folder = _folder(config)
    with connect(config.offline_store.threads) as connection:
        connection.execute(f"SET file_search_path = {literal(str(folder))}")
        for source in registry.list_data_sources(project):
            file = source if isinstance(source, FileSource) else getattr(source, "batch_source", None)
            if isinstance(file, FileSource) and re.search(rf"\b{re.escape(source.name)}\b", sql, re.IGNORECASE):
                with suppress(duckdb.Error):  # a file that is not there, or is no table, is no table to the SQL either
                    _name(connection, source.name, folder, file.path)
        try:
            return frame_of(connection.sql(sql).to_arrow_table())
        except (duckdb.Error, AttributeError) as error:
            raise SettingError(
                f"entity rows as SQL are a SELECT that DuckDB runs over the project's sources; it says: "
                f"{str(error).splitlines()[0]}; fix the SQL"
            ) from None


def _name(connection: Any, name: str, folder: Path, path: str) -> None:
    """Have SQL over ``connection`` see the rows at ``path`` as the table ``name``."""
    from jobs.history.databases import copy_table
    from jobs.history.feast_views import files_of
    from jobs.history.places import is_table, located, parquet
    from jobs.history.scans import require_one_type

    if is_table(path):
        copy_table(connection, located(folder, path), None, (), name)
        return
    files = files_of(folder, path)
    parquet(connection, files)
    require_one_type(connection, files)
    connection.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS SELECT * FROM {literal(files)}")


def _stored(
    config: Any, source: Any, columns: Sequence[str], time: str, span: tuple[datetime | None, datetime | None], rest: str = ""
) -> RetrievalJob:
    """Rows of a file, whose columns have the view's names already."""
    from feast import FileSource

    from jobs.history.feast_job import Stored
    from jobs.history.feast_views import files_of
    from jobs.history.files import connect
    from jobs.history.places import parquet
    from jobs.history.scans import readable, require_one_type

    if not isinstance(source, FileSource):
        raise SettingError(f"this offline store reads Parquet files; got {type(source).__name__}; use a FileSource")
    folder = _folder(config)
    bounds: Mapping[str, datetime | None] = dict(zip((">=", "<="), span, strict=True))
    within = [f"{_utc(quoted(time))} {sign} {_moment(end)}" for sign, end in bounds.items() if end is not None]
    where = f" WHERE {' AND '.join(within)}" if within else ""
    files = files_of(folder, source.path)

    def table() -> pa.Table:
        names = ", ".join(map(quoted, dict.fromkeys(columns)))
        with connect(config.offline_store.threads) as connection, readable(parquet(connection, files)):
            require_one_type(connection, files, columns)
            return connection.sql(f"SELECT {names} FROM read_parquet({literal(files)}){where} {rest}").to_arrow_table()

    return Stored(folder, table)


def _utc(time: str) -> str:
    return f"CAST({time} AS TIMESTAMPTZ)"


def _moment(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()}'"
