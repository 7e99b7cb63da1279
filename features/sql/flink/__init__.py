"""The plan of a job as Flink SQL: statements that make the tables, a view for each stage, and the inserts.

::

    sources ──► rows of the 1st stage ──► 1st stage ──► rows of the 2nd ──► 2nd stage ──► feature vectors
       │                                      │                                 │
       ▼                                      └───────────────┬─────────────────┘
    dead letters                                              ▼
                                                          late rows

Columns whose names start with an underscore are ours; the others are the event's and the features.
"""

from __future__ import annotations

import msgspec

from features.job import JobPlan
from features.sql.flink.options import JobOptions
from features.sql.flink.sinks import dead_letters, late_rows, vectors
from features.sql.flink.sources import source_table
from features.sql.flink.stages import chain, rows_view, stage_view

__all__ = ["Job", "JobOptions", "job_sql"]

OPERATORS = (
    "CREATE TEMPORARY SYSTEM FUNCTION sliding_windows AS 'headrace.windows.SlidingWindows'",
    "CREATE TEMPORARY SYSTEM FUNCTION epoch_millis AS 'headrace.formats.EpochMillis'",
    "CREATE TEMPORARY SYSTEM FUNCTION written AS 'headrace.formats.Written'",
    "CREATE TEMPORARY SYSTEM FUNCTION trace_headers AS 'headrace.formats.TraceHeaders'",
)


class Job(msgspec.Struct, frozen=True):
    """The statements, in order: ``setup`` one by one, then ``inserts`` as one set."""

    setup: tuple[str, ...]
    inserts: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it, for a person."""
        return ";\n\n".join([*self.setup, *self.inserts]) + ";\n"


def job_sql(job: JobPlan, options: JobOptions) -> Job:
    """The Flink job of ``job``."""
    views = [view(step, options) for step in chain(job) for view in (rows_view, stage_view)]
    sinks = [*(vectors(job, plan, options) for plan in job.plans), dead_letters(job.sources, options)]
    if job.windows:
        sinks.append(late_rows(job, options))
    return Job(
        setup=(*OPERATORS, *(source_table(job, source, options) for source in job.sources), *(s.table for s in sinks), *views),
        inserts=tuple(insert for sink in sinks for insert in sink.inserts),
    )
