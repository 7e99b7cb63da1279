"""Places of events as DuckDB reads them: SQL of tables, of the same with their rows' places, and the types of their columns."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby

import duckdb
import msgspec

from features.errors import SettingError
from features.plan import Column, Source
from features.sql.quoting import literal, quoted
from jobs.history.databases import copy_table
from jobs.history.json_lines import LINE, JsonLines
from jobs.history.places import Place, Written, exactly, opened, reachable, shown

CSV_OPTIONS = (
    "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false"
)
"""One dialect, and nothing is guessed: an empty field is null, a text that is empty has its quotes."""
SAID = 200
"""Characters of a line of what DuckDB says."""


def misfit(path: str, what: str, rule: str, got: str, advice: str) -> SettingError:
    """The error of a file that breaks a rule."""
    return SettingError(f"{path}, {what}: {rule}; got {got}; {advice}")


@contextmanager
def readable(there: Place) -> Iterator[None]:
    """DuckDB's errors as ours; those of a result that is read in batches are Arrow's."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = [line if len(line) <= SAID else f"{line[:SAID]}…" for line in lines[:4]]  # the line of a CSV may be of any length
        raise SettingError(f"{there.text} cannot be read: {', '.join(said)}; fix or replace it") from None


@contextmanager
def within_memory() -> Iterator[None]:
    """DuckDB's word for too little memory, or Arrow's of DuckDB's, as ours."""
    try:
        yield
    except (duckdb.OutOfMemoryException, OSError) as error:
        if "Out of Memory" not in str(error):
            raise
        said = str(error).splitlines()[0]
        raise SettingError(
            f"what DuckDB computes at once fits into history.memory_mb; got '{said}'; give it more, or fewer days"
        ) from None


class Scan(msgspec.Struct, frozen=True):
    """Files of one kind of columns, or a table."""

    place: Place
    table: str
    """SQL of what the rows are selected from."""
    numbered: str
    """The same with ``_file`` and ``_place``, where a row lies; counted from 1."""
    types: dict[str, str]
    """The file's own columns with their DuckDB types."""


def scan(connection: duckdb.DuckDBPyConnection, there: Place, columns: Collection[Column], texts: bool) -> list[Scan]:
    """The files of a place, in order: several scans where Parquet files have the ``columns``, or without any all, of other types.

    DuckDB would read all of them with the types of the first, and round and convert what is of others.
    """
    reachable(connection, there)
    if there.kind == "lines":
        lines = JsonLines(there.files, columns, texts)
        table = f"_lines_{id(lines)}"
        connection.register(table, lines)
        return [Scan(there, table, f"(SELECT *, {LINE} AS _place FROM {table})", dict.fromkeys(lines.strings, "VARCHAR"))]
    if there.kind == "csv":
        return [_scan(connection, there, *_csv(there))]
    names = {column.name for column in columns}
    return [_scan(connection, one, *_parquet(one)) for one in _of_one_type(connection, there, names)]


def _scan(connection: duckdb.DuckDBPyConnection, there: Place, table: str, numbered: str) -> Scan:
    with readable(there):
        described = connection.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()
    return Scan(there, table, f"({numbered})", {row[0]: row[1] for row in described})


def _of_one_type(connection: duckdb.DuckDBPyConnection, there: Place, names: Collection[str]) -> list[Place]:
    """The Parquet files of a place in runs whose columns ``names``, or all, are of the same types."""
    if len(there.files) == 1:
        return [there]
    schemas = ", ".join(literal(exactly(file)) for file in there.files)
    row = "(column_id, name, type, type_length, num_children, converted_type, scale, precision, logical_type, duckdb_type)"
    with readable(there):
        found = connection.execute(
            f"SELECT file_name, list({row} ORDER BY column_id) FROM parquet_schema([{schemas}]) GROUP BY ALL"
        ).fetchall()
    digests = {file: repr(schema) for file, schema in found}
    types: dict[str, object] = {}
    for file in there.files:
        if digests[file] not in types:
            one = msgspec.structs.replace(there, text=shown(file), files=(file,))
            own = _scan(connection, one, *_parquet(one)).types
            types[digests[file]] = {name: own.get(name) for name in names} if names else own
    runs = [tuple(files) for _, files in groupby(there.files, key=lambda file: types[digests[file]])]
    if len(runs) == 1:
        return [there]
    return [msgspec.structs.replace(there, text=shown(files[0]), files=files) for files in runs]


def require_one_type(connection: duckdb.DuckDBPyConnection, files: str, columns: Collection[str] = ()) -> None:
    """Raises `SettingError` where ``columns``, or any, of the Parquet files of a glob have several types.

    Nothing says which is meant, and DuckDB would convert all to that of the first file.
    """
    wanted = f" AND name IN ({', '.join(map(literal, columns))})" if columns else ""
    own = "array_to_string(list(duckdb_type ORDER BY column_id), '/')"  # several where a column within another has its name
    found = connection.execute(
        "SELECT name, list(DISTINCT own ORDER BY own), max(file_name) FROM ("
        f"SELECT name, file_name, {own} AS own FROM parquet_schema({literal(files)}) WHERE duckdb_type IS NOT NULL{wanted} "
        "GROUP BY ALL) GROUP BY name HAVING count(DISTINCT own) > 1 ORDER BY name LIMIT 1"
    ).fetchone()
    if found:
        name, types, file = found
        raise SettingError(
            f"{shown(files)}: a column has one type in all files of a view; got '{name}' of types {', '.join(types)}, "
            f"up to {shown(file)}; write them alike"
        )


def _parquet(there: Place) -> tuple[str, str]:
    """SQL of its files, and the same with the rows' places. What stands in the names of folders is text."""
    names = ", ".join(literal(exactly(file)) for file in there.files)
    hive = "hive_partitioning = true, hive_types_autocast = false" if there.partitions else "hive_partitioning = false"
    numbered = f"read_parquet([{names}], {hive}, file_row_number = true, filename = '_file')"
    return f"read_parquet([{names}], {hive})", f"SELECT *, file_row_number + 1 AS _place FROM {numbered}"


def _csv(there: Place) -> tuple[str, str]:
    """As `_parquet` gives it. Raises `SettingError` where the files do not have the same columns in the same order."""
    headers = [_header(file) for file in there.files]
    others = [file for file, (names, _) in zip(there.files, headers, strict=True) if names != headers[0][0]]
    if others:
        rule = f"the files of a glob have the columns of its first, {','.join(headers[0][0])}"
        raise misfit(others[0], "line 1", rule, "others", "write them alike")
    files = [
        (literal(file), f"read_csv({literal(exactly(file))}, {CSV_OPTIONS}, new_line = '{end}', columns = {_struct(names)})")
        for file, (names, end) in zip(there.files, headers, strict=True)
    ]
    table = " UNION ALL ".join(f"SELECT * FROM {read}" for _, read in files)
    numbered = " UNION ALL ".join(
        f"SELECT *, {name} AS _file, row_number() OVER () AS _place FROM {read}" for name, read in files
    )
    return (f"({table})" if len(files) > 1 else files[0][1]), numbered


def copied(
    connection: duckdb.DuckDBPyConnection, source: Source, columns: Collection[Column], written: Written, there: Place
) -> Scan:
    """A database's table as it is now. Its rows are in order of their arrival, time and id."""
    extra = [] if source.arrival is None else [source.arrival]
    names = dict.fromkeys([*(column.name for column in columns), *extra])
    name = f"_table_{uuid.uuid4().hex}"
    copy_table(connection, written, list(names), [*extra, source.time, source.event_id], name)
    described = connection.execute(f"DESCRIBE {quoted(name)}").fetchall()
    numbered = f"(SELECT *, {literal(there.text)} AS _file, row_number() OVER () AS _place FROM {quoted(name)})"
    return Scan(there, quoted(name), numbered, {row[0]: row[1] for row in described})


def _header(file: str) -> tuple[list[str], str]:
    """The names in the first line of a CSV, and how DuckDB is told its end."""
    try:
        with opened(file) as stream:
            first = stream.readline().decode("utf-8-sig")
        names = next(csv.reader([first]), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingError(f"{file} cannot be read: a CSV is text in UTF-8; got {error}; convert it") from None
    if not names or len({*names}) < len(names) or not all(names):
        got = ",".join(names) or "an empty file"
        raise misfit(file, "line 1", "the first line of a CSV names each column, once", got, "write such a line")
    return names, r"\r\n" if first.endswith("\r\n") else r"\n"


def _struct(names: Iterable[str]) -> str:
    """A SQL struct of columns that are text."""
    return "{" + ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names) + "}"
