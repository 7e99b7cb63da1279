"""Tables of databases as DuckDB tables, through ADBC: DuckDB's own scanners are downloads, ADBC's drivers are packages.

A place is ``sqlite:///orders.db#orders``, with four slashes for an absolute path, or ``postgresql://user@host:5432/shop#sales.orders``.
The password comes from the environment alone, as PostgreSQL's own tools read it: ``PGPASSWORD`` or ``PGPASSFILE``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import duckdb

from features.errors import SettingError
from features.sql.quoting import quoted
from jobs.history.places import Written, shown

DRIVERS = {
    "sqlite": "adbc_driver_sqlite.dbapi",
    "postgresql": "adbc_driver_postgresql.dbapi",
    "postgres": "adbc_driver_postgresql.dbapi",
}
SAMPLES = {"integer": "0", "real": "0.0", "text": "''"}
"""Of each of SQLite's types a value, as ADBC's driver takes the type of a column from its first rows."""


class Address(NamedTuple):
    """A table and the database that it is in."""

    scheme: str
    uri: str
    """As the driver takes it, without the table."""
    table: tuple[str, ...]
    """Its name, after that of its schema if there is one."""

    @property
    def sql(self) -> str:
        """The table in the database's SQL."""
        return ".".join(map(quoted, self.table))


def address(written: Written) -> Address:
    """What a URL says. Raises `SettingError` for one without a table, with a password, or of another database."""
    parts = urlsplit(str(written))
    if parts.scheme not in DRIVERS:
        raise SettingError(f"a table is of {', '.join(DRIVERS)}; got {shown(written)}; export it to Parquet")
    if parts.password is not None or shown(written) != str(written):
        raise SettingError(f"a password is in the environment alone; got one in {shown(written)}; set PGPASSWORD instead")
    if not parts.fragment:
        raise SettingError(f"a table is named after '#'; got {shown(written)}; write {shown(written)}#orders, say")
    table = tuple(map(unquote, parts.fragment.split(".")))
    if parts.scheme != "sqlite":
        return Address(parts.scheme, str(written).partition("#")[0], table)
    if parts.netloc:
        raise SettingError(f"an SQLite file has three slashes before its path; got {shown(written)}; write sqlite:///x.db#orders")
    return Address(parts.scheme, unquote(parts.path[1:]), table)


def copy_table(
    connection: duckdb.DuckDBPyConnection, written: Written, columns: Sequence[str] | None, order: Sequence[str], name: str
) -> None:
    """Make of a database's table the temporary table ``name``, as it is now: all of it, or ``columns``, those that it has.

    Its rows are in the order of its columns ``order``: a table has none of its own. Raises `SettingError` for what the database,
    or its driver, says.
    """
    where = address(written)
    with _connected(where, written) as database, _telling(written), closing(database.cursor()) as cursor:
        found = _columns(cursor, where)
        query = _query(
            cursor, where, [one for one in found if columns is None or one in columns], [one for one in order if one in found]
        )
        cursor.execute(query)
        stream = f"_stream_{name}"
        connection.register(stream, cursor.fetch_record_batch())
        sample = "WHERE _sample = 0" if where.scheme == "sqlite" else ""
        left_out = " EXCLUDE (_sample)" if sample else ""
        connection.execute(f"CREATE TEMP TABLE {quoted(name)} AS SELECT *{left_out} FROM {stream} {sample}")
        connection.unregister(stream)


@contextmanager
def _connected(where: Address, written: Written) -> Iterator[Any]:
    try:
        driver = import_module(DRIVERS[where.scheme])
    except ImportError:
        rule = f"a table of {where.scheme} needs its ADBC driver; it is not installed"
        raise SettingError(f"{rule}; pip install 'headrace[databases]'") from None
    if where.scheme == "sqlite" and not Path(where.uri).is_file():  # SQLite would make an empty one
        raise SettingError(f"no database {where.uri}, of {shown(written)}; put it there, or name another")
    with _telling(written):
        found = driver.connect(where.uri)
    with closing(found):
        yield found


@contextmanager
def _telling(written: Written) -> Iterator[None]:
    """The errors of ADBC, of its streams and of DuckDB as ours."""
    try:
        yield
    except (SettingError, duckdb.OutOfMemoryException):
        raise
    except Exception as error:  # the errors of drivers have no common type
        said = " ".join(str(error).split())[:300]
        raise SettingError(f"{shown(written)} cannot be read: {said}; fix the table, the address or the rights") from None


def _columns(cursor: Any, where: Address) -> list[str]:
    cursor.execute(f"SELECT * FROM {where.sql} LIMIT 0")
    return [column[0] for column in cursor.description]


def _query(cursor: Any, where: Address, columns: Sequence[str], order: Sequence[str]) -> str:
    """The table's columns, in order; of SQLite after a row that has a value of each column's type."""
    ordered = ", ".join(map(quoted, order))
    if where.scheme != "sqlite":
        return f"SELECT {', '.join(map(quoted, columns))} FROM {where.sql}" + (f" ORDER BY {ordered}" if order else "")
    types = _stored_types(cursor, where, columns)
    sample = [f"{SAMPLES[kind]} AS {quoted(name)}" for name, kind in zip(columns, types, strict=True)]
    values = [
        f"CAST({quoted(name)} AS REAL) AS {quoted(name)}" if kind == "real" else quoted(name)
        for name, kind in zip(columns, types, strict=True)
    ]
    rows = f"SELECT 0 AS _sample, {', '.join(values)} FROM {where.sql}"
    return f"SELECT 1 AS _sample, {', '.join(sample)} UNION ALL {rows} ORDER BY 1 DESC" + (f", {ordered}" if order else "")


def _stored_types(cursor: Any, where: Address, columns: Sequence[str]) -> list[str]:
    """The types of the values of an SQLite table's columns: there, each value has its own."""
    cursor.execute(f"SELECT {', '.join(f'group_concat(DISTINCT typeof({quoted(name)}))' for name in columns)} FROM {where.sql}")
    return [_stored_type(where, name, found or "") for name, found in zip(columns, cursor.fetchone(), strict=True)]


def _stored_type(where: Address, column: str, written: str) -> str:
    """The one type that values of the types in ``written``, with commas, can have. Raises `SettingError` where there is none."""
    found = set(written.split(",")) - {"null", ""}
    if found <= {"integer"}:
        return "integer"
    if found <= {"integer", "real"}:
        return "real"
    if found == {"text"}:
        return "text"
    came = f"{' and '.join(sorted(found))} in column '{column}' of {'.'.join(where.table)}"
    raise SettingError(f"a column of a table has values of one type, numbers or texts; got {came}; convert it")
