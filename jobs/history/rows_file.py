"""Tables that come one after another, as one: in memory, or as a Parquet file that is there whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq


class Size(NamedTuple):
    """What a file has."""

    rows: int
    columns: int


def write(tables: pa.Table | Iterable[pa.Table], path: Path) -> Size:
    """Write the tables, one or more, as one Parquet file; a reader sees a whole file or none.

    The types of a column may differ, as those that a function gives do where it gives whole numbers first: where they do, the
    file is written twice. Two tables are in memory at a time: one is written while the next is made.
    """
    with _there(path.parent), tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        parts, schema, rows = _parts([tables] if isinstance(tables, pa.Table) else tables, Path(folder))
        whole = parts[0]
        if len(parts) > 1:
            whole = Path(folder) / "whole"
            with pq.ParquetWriter(whole, schema) as writer:
                for part in parts:
                    for table in _row_groups(part):
                        writer.write_table(_fit(table, schema))
        whole.replace(path)
    return Size(rows, len(schema))


def together(tables: Iterable[pa.Table]) -> pa.Table:
    """The tables, one or more, as one."""
    found = list(tables)
    schema = reduce(_common, (table.schema for table in found))
    return pa.concat_tables([_fit(table, schema) for table in found])


@contextmanager
def _there(folder: Path) -> Iterator[None]:
    """The folder is there, with those above it; what was missing is again where the block fails."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # it holds something else by now
            for one in missing:
                one.rmdir()
        raise


def _parts(tables: Iterable[pa.Table], folder: Path) -> tuple[list[Path], pa.Schema, int]:
    """Files, each of one schema, the schema that all fit, and the number of rows."""
    parts, schema, rows, writer, written = list[Path](), None, 0, None, None
    with ThreadPoolExecutor(1, "parquet") as thread:
        try:
            for table in tables:
                common = table.schema if schema is None else _common(schema, table.schema)
                if written:
                    written.result()
                if writer is None or common != schema:
                    if writer:
                        writer.close()
                    parts.append(folder / str(len(parts)))
                    schema, writer = common, pq.ParquetWriter(parts[-1], common)
                written = thread.submit(writer.write_table, _fit(table, common))
                rows += table.num_rows
            if written:
                written.result()
        finally:
            if writer:  # there, behind the table in hand: a second Ctrl-C does not wait, and both at once abort the process
                thread.submit(writer.close).result()
    return parts, schema, rows


def _row_groups(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)


def _common(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    return pa.schema([(name, _common_type(one.field(name).type, other.field(name).type)) for name in one.names])


def _common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Doubles for numbers and booleans of different types, as `features.inputs.arrow.from_list` has it of one column."""
    if one == other or pa.types.is_null(other):
        return one
    return other if pa.types.is_null(one) else pa.float64()


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table if table.schema == schema else table.cast(schema, safe=False)
