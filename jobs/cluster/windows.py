"""Windows over history, computed by a Flink cluster: DuckDB writes the rows for it into a folder that all machines see, in order
of event time, and reads what the job gives back from there.

The job is the stream job in event-time mode, with files for topics: one plan, one operator, one rule. Its machines read, order by
key, compute and write in parallel; what is not windows is computed here, as without a cluster.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from features.errors import StackError
from features.job import JobPlan
from features.plan import Plan
from features.sql.duckdb import windows_sql
from features.sql.flink.files import VECTORS, FileTables, columns_read, columns_written, files_sql, over_files
from features.sql.quoting import quoted
from jobs.cluster.config import ClusterConfig
from jobs.cluster.run import run_to_end
from jobs.history.compute import stage_table
from jobs.history.frames import arrow_type, read_frames, rows_file, write_dealt
from jobs.history.queries import QUERIES, Steps


def windows_on(connection: duckdb.DuckDBPyConnection, plan: Plan, step: Steps, config: ClusterConfig) -> None:
    """The `jobs.history.compute.Windows` of a cluster; its steps are the writing, and then one for each stage.

    Raises `StackError` where the cluster is not there, or the job fails.
    """
    if not plan.windows:
        return
    job = over_files(plan)
    with _new_folder(config.folder) as folder:
        tables = FileTables(str(folder.resolve()), config.parallelism)
        step(f"windows on Flink, {config.cluster}")
        for source in job.sources:
            write_dealt(connection, source, columns_read(source), folder, tables.files)
        run_to_end(job.name, files_sql(job, tables, config.sql), config)
        _read(connection, job, folder, tables.files)
    _give(connection, plan)
    step.done += len(plan.windows) - 1


@contextmanager
def _new_folder(within: Path) -> Iterator[Path]:
    """A folder that is deleted after the block. Not one of `tempfile`'s: the cluster's processes may be another user's."""
    folder = within / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read(connection: duckdb.DuckDBPyConnection, job: JobPlan, folder: Path, files: int) -> None:
    """The table `VECTORS`, of what the job has written: it must have a row for each query."""
    columns = columns_written(job)
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(files):
            yield from read_frames(rows_file(folder, VECTORS, number), columns)

    connection.register("_frames", pa.RecordBatchReader.from_batches(schema, batches()))
    connection.execute(f"CREATE TABLE {VECTORS} AS SELECT * FROM _frames ORDER BY _row")
    connection.unregister("_frames")
    rows = f"(SELECT _row AS wanted FROM {QUERIES}) POSITIONAL JOIN (SELECT _row AS given FROM {VECTORS})"
    ((wrong,),) = connection.execute(f"SELECT count(*) FROM {rows} WHERE wanted IS DISTINCT FROM given").fetchall()
    if wrong:
        raise StackError(f"a job gives each query its features once; {wrong:,} rows of {folder} are of no query, or are missing")


def _give(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """The features of each stage as a table, in the types that DuckDB's own windows have."""
    for number, stage in enumerate(plan.windows):
        here = connection.sql(windows_sql(plan, stage))
        types = dict(zip(here.columns, here.types, strict=True))
        values = ", ".join(f"CAST({quoted(f.name)} AS {types[f.name]}) AS {quoted(f.name)}" for f in stage.features)
        connection.execute(f"CREATE VIEW {stage_table(number)} AS SELECT {values} FROM {VECTORS}")
