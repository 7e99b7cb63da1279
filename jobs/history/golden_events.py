"""Golden events: a few of a project's history, with what the batch engine says of them and of nothing else.

They are the newest events of some keys, a key for each stage, so that windows have something in them. History is then these
events alone: whoever takes them in this order, into empty windows, has the same features (rules 1 to 7 of docs/windows.md).
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from contextlib import closing
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import duckdb
import msgspec
import pyarrow as pa

from features.errors import SettingError
from features.plan import Plan, Source, Stage
from features.service import Service
from features.sql.quoting import literal, quoted
from features.times import ALWAYS
from jobs.history.compute import Progress, compute
from jobs.history.files import connect
from jobs.history.places import Written, history_of
from jobs.history.scans import within_memory
from jobs.history.tables import File, create_table

RECENT = 1000
"""A key is one of those of the newest so many queries: the one with the most rows."""


class GoldenRow(NamedTuple):
    """An event; of the spine if ``row`` says which row of the table is its own."""

    time: int
    source: str
    event: str
    row: int | None


def golden_events(
    service: Service, count: int, wanted: list[str], histories: dict[str, Written], on_progress: Progress | None = None
) -> tuple[list[GoldenRow], pa.Table]:
    """About ``count`` events in the order in which they arrive, and ``wanted`` features of those of the spine, in that order.

    ``service`` has a plan without batch views. At equal times events of other sources come first, as rule 6 has it. Raises
    `SettingError` where the history of the spine is empty.
    """
    plan = service.plan
    with tempfile.TemporaryDirectory() as folder:
        with within_memory(), closing(connect(resources=service.resources)) as connection:
            for source in plan.sources:
                place = history_of(source, service.folder, histories)
                create_table(connection, source, [File(place)], plan.required(source), ALWAYS, service.event_times)
            _choose(connection, plan, count)
            files = {source.name: Path(folder) / f"{number}.parquet" for number, source in enumerate(plan.sources)}
            for source in plan.sources:
                _write(connection, source, files[source.name])
        table = compute(service, wanted=wanted, histories=files, on_progress=on_progress)
        if not table.num_rows:
            raise SettingError(
                f"golden vectors are of events of {plan.spine}; its history has none; write --history {plan.spine}=FILE"
            )
        order = sorted((source.name for source in plan.sources), key=lambda name: name == plan.spine)
        rows = [_rows(files[name], plan, name) for name in order]
        return list(heapq.merge(*rows, key=attrgetter("time"))), table


def _choose(connection: duckdb.DuckDBPyConnection, plan: Plan, count: int) -> None:
    """Make a table ``_chosen_<source>`` of the rows to take of each source, by their arrival."""
    for source in plan.sources:
        connection.execute(f"CREATE TABLE {_chosen(source.name)} (_arrival BIGINT)")
    spine, time = quoted(plan.spine), quoted(plan.spine_source.time)
    recent = f"(SELECT * FROM {spine} ORDER BY {time} DESC, _arrival DESC LIMIT {RECENT})"
    share = max(1, count // (len(plan.windows) * 2 or 1))
    if not plan.windows:
        _take(connection, plan, plan.spine, "true", share)
    for stage in plan.windows:
        of_key = _of_key(connection, stage, recent)
        for name in dict.fromkeys((stage.source, plan.spine)):
            _take(connection, plan, name, of_key, share if stage.source != plan.spine else 2 * share)


def _of_key(connection: duckdb.DuckDBPyConnection, stage: Stage, recent: str) -> str:
    """SQL that is true of the rows of the key of the stage that has the most rows, among recent queries."""
    names = ", ".join(map(quoted, stage.key))
    rows = f"SELECT {names}, count(*) AS _rows FROM {quoted(stage.source)} GROUP BY ALL"
    chosen = f"SELECT {names} FROM {recent} LEFT JOIN ({rows}) USING ({names}) ORDER BY _rows DESC NULLS LAST, {names} LIMIT 1"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _key AS {chosen}")
    return f"({names}) IN (SELECT ({names}) FROM _key)"


def _take(connection: duckdb.DuckDBPyConnection, plan: Plan, name: str, condition: str, count: int) -> None:
    """The newest rows of a source of which ``condition`` is true."""
    newest = f"ORDER BY {quoted(plan.source(name).time)} DESC, _arrival DESC LIMIT {count}"
    connection.execute(f"INSERT INTO {_chosen(name)} SELECT _arrival FROM {quoted(name)} WHERE {condition} {newest}")


def _write(connection: duckdb.DuckDBPyConnection, source: Source, path: Path) -> None:
    """Write the chosen rows of a source, by time and arrival: they arrive in the order in which they lie (rule 3)."""
    columns = ", ".join(quoted(column.name) for column in source.columns)
    chosen = f"SELECT {columns} FROM {quoted(source.name)} WHERE _arrival IN (SELECT _arrival FROM {_chosen(source.name)})"
    connection.execute(f"COPY ({chosen} ORDER BY {quoted(source.time)}, _arrival) TO {literal(str(path))} (FORMAT parquet)")


def _chosen(name: str) -> str:
    return quoted(f"_chosen_{name}")


def _rows(path: Path, plan: Plan, name: str) -> Iterator[GoldenRow]:
    """The rows of a file as JSON, as they are published: decimals with all their digits, times in milliseconds."""
    import pyarrow.parquet as pq

    time = plan.source(name).time
    for place, row in enumerate(pq.read_table(path).to_pylist()):
        event = ENCODE(row).decode()
        yield GoldenRow(int(row[time]), name, event, place if name == plan.spine else None)


ENCODE = msgspec.json.Encoder(decimal_format="number").encode
