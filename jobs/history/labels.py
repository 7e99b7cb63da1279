"""What happened after an event: its label, a column of a source's history, joined on the event id."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pyarrow as pa

from features.errors import SettingError
from features.plan import Column, Source
from features.service import Service
from features.sql.quoting import quoted
from features.times import ALWAYS
from jobs.history.files import connect
from jobs.history.places import Written, history_of
from jobs.history.scans import within_memory
from jobs.history.tables import File, create_table

LABEL = "label"
"""The column that holds it."""
KNOWN = "_known"
"""The table of the labels: ``event_id``, `LABEL` and ``_at``, the label's own time, in the order in which they arrived."""


def labels(service: Service, label: str, histories: Mapping[str, Written] | None = None) -> pa.Table:
    """``event_id`` and ``label`` (double) of all history of the source in ``label``, ``<source>.<column>``.

    Of all, as a label is known later than its event's time. The source is any of the project, the spine too. Raises
    `SettingError` for an unknown source, and for what is no finite number.
    """
    with within_memory(), connect(resources=service.resources) as connection:
        add_labels(connection, service, label, histories or {})
        return connection.sql(f"SELECT event_id, {LABEL} FROM {KNOWN} ORDER BY _arrival").to_arrow_table()


def check_label(service: Service, label: str) -> tuple[Source, Column]:
    """What ``<source>.<column>`` names. Raises `SettingError` where that is no column of numbers."""
    name, _, column = label.partition(".")
    if name not in service.sources:
        known = ", ".join(sorted(service.sources))
        raise SettingError(f"a label is a column of a source, '<source>.<column>'; got '{label}'; the sources are {known}")
    found = service.sources[name].column(column)
    if found.type.kind in ("string", "timestamp"):
        raise SettingError(f"a label is a number; got '{label}' of type {found.type.kind}; name a column of numbers or booleans")
    return service.sources[name], found


def add_labels(connection: duckdb.DuckDBPyConnection, service: Service, label: str, histories: Mapping[str, Written]) -> None:
    """Make the table `KNOWN`; raises as `labels` does."""
    source, column = check_label(service, label)
    required = {source.event_id, source.time, column.name}
    create_table(connection, source, [File(history_of(source, service.folder, histories))], required, ALWAYS, service.event_times)
    value = f"CAST({quoted(column.name)} AS DOUBLE) AS {LABEL}"
    columns = f"{quoted(source.event_id)} AS event_id, {value}, {quoted(source.time)} AS _at, _arrival"
    connection.execute(f"CREATE TABLE {KNOWN} AS SELECT {columns} FROM {quoted(source.name)}")
    connection.execute(f"DROP TABLE {quoted(source.name)}")
    endless = f"FROM {KNOWN} WHERE NOT isfinite({LABEL})"
    ((count, first),) = connection.execute(f"SELECT count(*), arg_min({LABEL}, _arrival) {endless}").fetchall()
    if count:
        raise SettingError(f"a label is a finite number; got {first:g} in {label} ({count} rows); fix them")


def labels_sql(event_id: str, queries: str) -> str:
    """SQL of the label of each row of ``queries``, in the order of ``_row``; of several the last counts."""
    newest = f"(SELECT event_id, arg_max({LABEL}, _arrival) AS {LABEL} FROM {KNOWN} GROUP BY event_id)"
    joined = f"{queries} LEFT JOIN {newest} AS _newest ON _newest.event_id = {queries}.{quoted(event_id)}"
    return f"SELECT _newest.{LABEL} FROM {joined} ORDER BY {queries}._row"
