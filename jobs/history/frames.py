"""Files of rows between DuckDB and Flink: frames, in which each column is as Arrow has it in memory.

`headrace.seam.HistoryFile` says how they are laid out, and reads them; `headrace.files.FrameWriter` writes them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import StackError
from features.plan import Column, ColumnType, Source
from features.sql.quoting import quoted

FRAME_ROWS = 4096
TYPES = {"int64": pa.int64(), "timestamp": pa.int64(), "float64": pa.float64(), "string": pa.string(), "bool": pa.bool_()}


def arrow_type(column: ColumnType) -> pa.DataType:
    """How a column lies in a frame."""
    one = pa.decimal128(column.precision, column.scale) if column.kind == "decimal" else TYPES[column.kind]
    return pa.list_(one) if column.length else one


def rows_file(folder: Path, name: str, number: int) -> Path:
    """As `headrace.files.TableFiles` and `headrace.seam.History` name them."""
    return folder / f"{name}-{number}.rows"


def write_dealt(
    connection: duckdb.DuckDBPyConnection, source: Source, columns: Sequence[Column], folder: Path, files: int
) -> int:
    """Write ``columns`` of the table of a source into files, each in the order of its rows; gives how many rows there are.

    Rows of one time are in one file. Times are dealt by their hash: whole seconds would have one remainder.
    """
    selected, time = ", ".join(quoted(column.name) for column in columns), quoted(source.time)
    rows = 0
    for number in range(files):
        dealt = connection.sql(
            f"SELECT {selected} FROM {quoted(source.name)} WHERE hash({time}) % {files} = {number} ORDER BY {time}, _arrival"
        )
        rows += write_frames(rows_file(folder, source.name, number), columns, dealt.to_arrow_reader(FRAME_ROWS))
    return rows


def write_frames(path: Path, columns: Sequence[Column], batches: pa.RecordBatchReader) -> int:
    """Write batches of ``columns``, none of them lists, a frame each; gives how many rows there are."""
    rows = 0
    with path.open("wb") as file:
        names = "\n".join(column.name for column in columns).encode()
        file.write(struct.pack("<i", len(names)) + names)
        for batch in batches:
            if batch.num_rows:
                _write_frame(file, columns, batch)
                rows += batch.num_rows
    return rows


def read_frames(path: Path, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """The frames of a file of ``columns``, one by one. Raises `StackError` for a file that is of others, or ends within one."""
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in columns])
    with path.open("rb") as file:
        names = _exactly(file, struct.unpack("<i", _exactly(file, 4))[0]).decode().split("\n")
        if names != schema.names:
            raise StackError(
                f"Flink writes the columns {', '.join(schema.names)}; {path} has {', '.join(names)}; use one headrace"
            )
        while file.peek(1):
            rows, length = struct.unpack("<ii", _exactly(file, 8))
            body, at, arrays = memoryview(_exactly(file, length)), 0, []
            for field in schema:
                array, at = _array(field.type, body, at, rows)
                arrays.append(array)
            yield pa.record_batch(arrays, schema=schema)


def _exactly(file: BinaryIO, length: int) -> bytes:
    found = file.read(length)
    if len(found) != length:
        raise StackError(f"{file.name} ends within a frame; run the command again")
    return found


def _array(kind: pa.DataType, body: memoryview, at: int, rows: int) -> tuple[pa.Array, int]:
    """The column that begins at ``at``, and where the next one does."""

    def take(length: int) -> pa.Buffer:
        nonlocal at
        at += length
        return pa.py_buffer(bytes(body[at - length : at]))  # a copy, which lies where its numbers may be read

    has_nulls = take(1)[0]
    valid = take((rows + 7) // 8) if has_nulls else None
    if pa.types.is_list(kind):
        ends = take(4 * (rows + 1))
        elements, at = _array(kind.value_type, body, at, _last(ends, rows))
        return pa.Array.from_buffers(kind, rows, [valid, ends], children=[elements]), at
    if pa.types.is_string(kind):
        ends = take(4 * (rows + 1))
        return pa.Array.from_buffers(kind, rows, [valid, ends, take(_last(ends, rows))]), at
    values = take((rows + 7) // 8 if pa.types.is_boolean(kind) else rows * kind.bit_width // 8)
    return pa.Array.from_buffers(kind, rows, [valid, values]), at


def _last(ends: pa.Buffer, rows: int) -> int:
    return int(struct.unpack_from("<i", ends, 4 * rows)[0])


def _write_frame(file: BinaryIO, columns: Sequence[Column], batch: pa.RecordBatch) -> None:
    pairs = zip(columns, batch.columns, strict=True)
    parts = [part for column, values in pairs for part in _parts(_as(column.type, values))]
    file.write(struct.pack("<ii", batch.num_rows, sum(map(len, parts))))
    for part in parts:
        file.write(part)


def _as(wanted: ColumnType, values: pa.Array) -> pa.Array:
    """``values`` as the frame has them: of the type of their kind, with buffers of their own."""
    cast = values.cast(arrow_type(wanted))
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
