"""The part of a job's history that can still matter at a time, in files that Flink reads as fast as it can process rows.

A file is frames of rows in the order of their times; `headrace.seam.HistoryFile` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from features.errors import SettingError
from features.job import JobPlan
from features.plan import Source
from features.seam import Seam
from features.service import Resources
from features.sql.quoting import quoted
from features.times import EVENT_TIMES, EventTimes, Span
from jobs.history.files import RESOURCES, connect
from jobs.history.frames import write_dealt
from jobs.history.places import Written, history_of
from jobs.history.scans import within_memory
from jobs.history.tables import File, create_table


class Filled(NamedTuple):
    """What windows over a source are filled with."""

    rows: int
    newest_ms: int | None
    """The time of the newest row; None where there is none."""


def write_history(
    job: JobPlan,
    seam: Seam,
    project: Path,
    folder: Path,
    *,
    histories: Mapping[str, Written] | None = None,
    times: EventTimes = EVENT_TIMES,
    threads: int = 2,
    resources: Resources = RESOURCES,
    on_source: Callable[[str], None] = lambda name: None,
) -> dict[str, Filled]:
    """Write the rows of each source of the ``seam`` into ``folder``; gives what there is, by source.

    They come from ``histories``, files by source, or else from the source's own history in ``project``. Rows of one time are in
    one file, in their order. Raises `SettingError` for a file that is not there or does not fit its source.
    """
    given = histories or {}
    unknown = sorted(set(given) - set(seam.from_ms))
    if unknown:
        raise SettingError(
            f"a backfill reads the sources that windows are over: {', '.join(sorted(seam.from_ms))}; got {', '.join(unknown)}; "
            "leave out its history"
        )
    folder.mkdir(parents=True, exist_ok=True)
    filled: dict[str, Filled] = {}
    with within_memory(), connect(threads, resources) as connection:
        for name, from_ms in seam.from_ms.items():
            on_source(name)
            source = _narrowed(job, job.source(name))
            required = {column for plan in job.plans for column in plan.required(job.source(name))}
            file = File(history_of(source, project, given))
            create_table(connection, source, [file], required, Span(from_ms, seam.until_ms), times)
            (newest,) = connection.execute(f"SELECT max({quoted(source.time)}) FROM {quoted(name)}").fetchall()[0]
            filled[name] = Filled(write_dealt(connection, source, source.columns, folder, seam.files), newest)
            connection.execute(f"DROP TABLE {quoted(name)}")
    return filled


def _narrowed(job: JobPlan, source: Source) -> Source:
    """``source`` with what the stages need of it: times, ids, keys and what is aggregated."""
    needed = {name for plan in job.plans for name in plan.required(source)}
    needed |= {name for stage in job.windows if stage.source == source.name for name in stage.columns}
    return msgspec.structs.replace(source, columns=tuple(column for column in source.columns if column.name in needed))
