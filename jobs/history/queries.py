"""The queries of a request: the spine's rows that are wanted, as a table, and what is computed of them in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa

from features.errors import SettingError
from features.inputs.arrow import BATCH
from features.plan import Plan, Source
from features.service import Service
from features.sql.quoting import quoted
from features.times import EVENT_TIMES, EventTimes, Span
from jobs.history.labels import LABEL, check_label, labels_sql
from jobs.history.places import Written, history_of, is_there
from jobs.history.tables import File

QUERIES = "_queries"
"""The table of the spine's rows that are queries, in order; ``_row`` is a row's number."""
LABELS = "_labels"
"""The table of their labels, in the same order."""
LONG = 2**63
Progress = Callable[[str, int, int], None]
"""Told what begins, how many steps are done, and of how many."""


class Request(msgspec.Struct, frozen=True):
    """Which rows of a project's histories are wanted."""

    folder: Path
    plan: Plan
    times: Span
    events: Written | None = None
    histories: Mapping[str, Written] = {}
    event_times: EventTimes = EVENT_TIMES
    entities_at: int | None = None
    """The time of the spine's rows, where they are entities without one."""
    begins: Mapping[str, int] = {}
    """By source, the time of the first row that contributes."""

    def history(self, source: Source) -> Written:
        """Where the rows of ``source`` are."""
        return history_of(source, self.folder, self.histories)


class Steps:
    """Counts the steps for whoever watches."""

    def __init__(self, on_progress: Progress | None, total: int) -> None:
        self.on_progress, self.done, self.total = on_progress, -1, total

    def __call__(self, what: str) -> None:
        """The next one begins."""
        self.done += 1
        if self.on_progress:
            self.on_progress(what, self.done, self.total)

    def rows_begin(self, before: int, rows: int) -> None:
        """After ``before`` steps there is one for each table of the rows."""
        self.total = before + max(1, -(-rows // BATCH))


def requested(
    service: Service, times: Span, events: Written | None, histories: Mapping[str, Written] | None, label: str | None
) -> Request:
    """The request. Raises `SettingError` for a history of a source that nothing reads, and for a label that cannot be."""
    plan = service.plan
    request = Request(service.folder, plan, times, events, histories or {}, service.event_times)
    unknown = set(request.histories) - {source.name for source in plan.sources}
    if label is not None:
        unknown.discard(check_label(service, label)[0].name)
        if LABEL in {column.name for column in plan.spine_source.columns}:
            raise SettingError(f"the label is the file's column '{LABEL}'; source '{plan.spine}' has one too; rename that")
    if unknown:
        raise SettingError(
            f"a history belongs to a source of service '{plan.service}'; got {', '.join(sorted(unknown))}; "
            f"use {', '.join(source.name for source in plan.sources)}"
        )
    return request


def files_of(request: Request, source: Source) -> list[File]:
    """Where the rows of a source are; of the spine's, which are queries."""
    history = request.history(source)
    if source.name != request.plan.spine:
        return [File(history)]
    if request.events is None:
        return [File(history, queries=request.times, at=request.entities_at)]
    events = File(request.events, queries=request.times)
    if source.name not in request.histories and not is_there(history):
        return [events]
    return [File(history), events]


def create_queries(connection: duckdb.DuckDBPyConnection, plan: Plan) -> int:
    """Make the table `QUERIES`, and say how many there are."""
    connection.execute(f"CREATE TABLE {QUERIES} AS SELECT * FROM {quoted(plan.spine)} WHERE _row IS NOT NULL ORDER BY _row")
    ((queries,),) = connection.execute(f"SELECT count(*) FROM {QUERIES}").fetchall()
    return int(queries)


def create_labels(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """Make the table `LABELS`, once `jobs.history.labels.add_labels` has read them."""
    connection.execute(f"CREATE TABLE {LABELS} AS {labels_sql(plan.spine_source.event_id, QUERIES)}")


def narrowed(connection: duckdb.DuckDBPyConnection, table: str, names: Sequence[str]) -> list[str]:
    """SQL of a table's features. Sums of longs are longs; where one of a feature's is beyond 64 bits, they stay of 38 digits."""
    types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {table}").fetchall()}
    wide = [name for name in names if types[name] == "HUGEINT"]
    if not wide:
        return [f"{table}.{quoted(name)}" for name in names]
    fits = ", ".join(f"coalesce(bool_and({quoted(name)} BETWEEN -{LONG}::HUGEINT AND {LONG - 1}), true)" for name in wide)
    (found,) = connection.execute(f"SELECT {fits} FROM {table}").fetchall()
    longs = {name for name, fit in zip(wide, found, strict=True) if fit}
    return [f"CAST({table}.{quoted(n)} AS BIGINT) AS {quoted(n)}" if n in longs else f"{table}.{quoted(n)}" for n in names]


def tables_of(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.Table]:
    """The result in tables of up to `BATCH` rows, at least one."""
    reader = connection.sql(query).to_arrow_reader(BATCH)
    empty = True
    for batch in reader:
        empty = False
        yield pa.Table.from_batches([batch])
    if empty:
        yield reader.schema.empty_table()
