"""The part of a job's history that can still matter at a time, in files that Flink reads as fast as it can process rows.

A file is frames of rows in the order of their times, each column as Arrow has it in memory; `headrace.seam.HistoryFile` reads it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import SettingError
from features.job import JobPlan
from features.plan import ColumnType, Source
from features.seam import Seam
from features.service import Resources
from features.sql.quoting import quoted
from features.times import EVENT_TIMES, EventTimes, Span
from jobs.history.files import RESOURCES, connect
from jobs.history.places import Written, history_of
from jobs.history.scans import within_memory
from jobs.history.tables import File, create_table

FRAME_ROWS = 4096
TYPES = {"int64": pa.int64(), "timestamp": pa.int64(), "float64": pa.float64(), "string": pa.string(), "bool": pa.bool_()}


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
) -> dict[str, int]:
    """Write the rows of each source of the ``seam`` into ``folder``; gives how many there are, by source.

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
    counts: dict[str, int] = {}
    with within_memory(), connect(threads, resources) as connection:
        for name, from_ms in seam.from_ms.items():
            on_source(name)
            source = _narrowed(job, job.source(name))
            required = {column for plan in job.plans for column in plan.required(job.source(name))}
            file = File(history_of(source, project, given))
            create_table(connection, source, [file], required, Span(from_ms, seam.until_ms), times)
            selected = ", ".join(quoted(column.name) for column in source.columns)
            for number in range(seam.files):
                rows = connection.sql(
                    f"SELECT {selected} FROM {quoted(name)} WHERE {quoted(source.time)} % {seam.files} = {number} "
                    f"ORDER BY {quoted(source.time)}, _arrival"
                ).to_arrow_reader(FRAME_ROWS)
                counts[name] = counts.get(name, 0) + _write(folder / f"{name}-{number}.rows", source, rows)
            connection.execute(f"DROP TABLE {quoted(name)}")
    return counts


def _narrowed(job: JobPlan, source: Source) -> Source:
    """``source`` with what the stages need of it: times, ids, keys and what is aggregated."""
    needed = {name for plan in job.plans for name in plan.required(source)}
    needed |= {name for stage in job.windows if stage.source == source.name for name in stage.columns}
    return msgspec.structs.replace(source, columns=tuple(column for column in source.columns if column.name in needed))


def _write(path: Path, source: Source, batches: pa.RecordBatchReader) -> int:
    rows = 0
    with path.open("wb") as file:
        names = "\n".join(column.name for column in source.columns).encode()
        file.write(struct.pack("<i", len(names)) + names)
        for batch in batches:
            if batch.num_rows:
                _write_frame(file, source, batch)
                rows += batch.num_rows
    return rows


def _write_frame(file: BinaryIO, source: Source, batch: pa.RecordBatch) -> None:
    columns = zip(source.columns, batch.columns, strict=True)
    parts = [part for column, values in columns for part in _parts(_as(column.type, values))]
    file.write(struct.pack("<ii", batch.num_rows, sum(map(len, parts))))
    for part in parts:
        file.write(part)


def _as(wanted: ColumnType, values: pa.Array) -> pa.Array:
    """``values`` as the frame has them: of the type of their kind, with buffers of their own."""
    kind = pa.decimal128(wanted.precision, wanted.scale) if wanted.kind == "decimal" else TYPES[wanted.kind]
    cast = values.cast(kind)
    return cast if cast.offset == 0 else pc.take(cast, pa.array(range(len(cast))))


def _parts(values: pa.Array) -> Iterator[memoryview | bytes]:
    """A column of a frame; buffers may be longer than what is in them."""
    bits, rows, kind = (len(values) + 7) // 8, len(values), values.type
    valid, *buffers = values.buffers()
    has_nulls = bool(values.null_count)
    yield struct.pack("<b", has_nulls)
    if has_nulls:
        yield memoryview(valid)[:bits]
    if pa.types.is_string(kind):
        ends = memoryview(buffers[0])[: 4 * (rows + 1)]
        yield ends
        yield memoryview(buffers[1] or b"")[: struct.unpack_from("<i", ends, 4 * rows)[0]]
    elif pa.types.is_boolean(kind):
        yield memoryview(buffers[0])[:bits]
    else:
        yield memoryview(buffers[0])[: rows * kind.bit_width // 8]
