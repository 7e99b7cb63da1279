"""The windows of a plan over files: the statements of a job that reads its sources once, and ends.

The stages are the stream job's own. What differs is where rows come from and go to::

    files of each source, in order of event time ──► rows of the 1st stage ──► 1st stage ──► … ──► files of ``_row``, features
"""

from __future__ import annotations

import msgspec

from features.job import JobPlan, job_plan
from features.plan import Column, ColumnType, Plan, Source
from features.sql.flink import OPERATORS, Job
from features.sql.flink.modes import aligned
from features.sql.flink.options import JobOptions
from features.sql.flink.sources import watermark
from features.sql.flink.stages import chain, rows_view, stage_view
from features.sql.flink.text import create_table, insert
from features.sql.flink.types import HEADERS, feature_type, null, sql_type, vector_type
from features.sql.quoting import backquoted

ROW = Column("_row", ColumnType("int64"))
"""Of the spine, and of what a job gives: the number of a query; null for a row that is only history."""
ARRIVAL = Column("_arrival", ColumnType("int64"))
"""Of a file: what orders rows of one time (rule 3)."""
VECTORS = "_vectors"
"""The table of what a job gives."""
READ = (
    f"{backquoted(ARRIVAL.name)} {sql_type(ARRIVAL.type)}",
    "`_reason` AS CAST(NULL AS STRING)",
    "`_partition` AS 0",
    f"`_offset` AS {backquoted(ARRIVAL.name)}",
    "`_arrived` AS TO_TIMESTAMP_LTZ(0, 3)",
    f"`_headers` AS {null(HEADERS)}",
)
"""What stands for a record's metadata in a row of a file."""


class FileTables(msgspec.Struct, frozen=True):
    """Where the files of a job are."""

    folder: str
    """Which every machine of the job sees."""
    files: int
    """How many each table has: one for each subtask."""


def over_files(plan: Plan) -> JobPlan:
    """``plan`` as history computes it: in event-time mode, with no row late; of each source, what the windows need."""
    used = {plan.spine, *(stage.source for stage in plan.windows)}
    sources = tuple(_narrowed(plan, source) for source in plan.sources if source.name in used)
    return job_plan([msgspec.structs.replace(plan, mode="event_time", lateness_ms=0, sources=sources)])


def _narrowed(plan: Plan, source: Source) -> Source:
    is_spine, own = source.name == plan.spine, [stage for stage in plan.windows if stage.source == source.name]
    needed = {source.time, *(name for stage in own for name in stage.columns)}
    needed |= {name for stage in (plan.windows if is_spine else own) for name in stage.key}
    columns = tuple(column for column in source.columns if column.name in needed)
    return msgspec.structs.replace(source, columns=(*columns, *((ROW,) if is_spine else ())), delay_ms=0)


def columns_read(source: Source) -> tuple[Column, ...]:
    """The columns of the files of a source."""
    return *source.columns, ARRIVAL


def columns_written(job: JobPlan) -> tuple[Column, ...]:
    """The columns of the files that a job writes."""
    features = (Column(f.name, vector_type(job, stage, f)) for stage in job.windows for f in stage.features)
    return ROW, *features


def files_sql(job: JobPlan, tables: FileTables, options: JobOptions) -> Job:
    """The Flink job of a plan of `over_files`."""
    options = msgspec.structs.replace(options, queries=ROW.name, vectors_from_ms=None)
    views = [view(step, options) for step in chain(job) for view in (rows_view, stage_view)]
    sources = [_source_table(job, source, tables, options) for source in job.sources]
    names = [backquoted(column.name) for column in columns_written(job)]
    of_queries = "`_late` IS NULL", f"{backquoted(ROW.name)} IS NOT NULL"
    return Job(
        setup=(*OPERATORS, *sources, _vectors_table(job, tables), *views),
        inserts=(insert(VECTORS, names, job.windows[-1].name, *of_queries),),
    )


def _source_table(job: JobPlan, source: Source, tables: FileTables, options: JobOptions) -> str:
    """Sources wait for one another, so that few rows wait for the watermark."""
    columns = [f"{backquoted(column.name)} {sql_type(column.type)}" for column in source.columns]
    settings = {**_connector(source.name, tables), **aligned(job, options.drift_ms)}
    return create_table(source.name, [*columns, *READ, *watermark(source)], settings)


def _vectors_table(job: JobPlan, tables: FileTables) -> str:
    features = [f"{backquoted(f.name)} {feature_type(job, stage, f)}" for stage in job.windows for f in stage.features]
    row = f"{backquoted(ROW.name)} {sql_type(ROW.type)}"
    return create_table(VECTORS, [row, *features], _connector(VECTORS, tables))


def _connector(name: str, tables: FileTables) -> dict[str, str]:
    return {"connector": "headrace-files", "folder": tables.folder, "name": name, "files": str(tables.files)}
