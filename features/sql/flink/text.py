"""The shapes of Flink's statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from features.sql.quoting import backquoted, literal


def create_table(name: str, columns: Iterable[str], settings: Mapping[str, str]) -> str:
    """A table of ``columns``, each a name with a type, that a connector reads or writes."""
    options = lines(f"{literal(key)} = {literal(value)}" for key, value in settings.items())
    return f"CREATE TEMPORARY TABLE {backquoted(name)} (\n{lines(columns)}\n) WITH (\n{options}\n)"


def select(columns: Iterable[str], rows: str, *conditions: str) -> str:
    """``columns``, each an expression, of the rows of a table that meet all conditions."""
    return f"SELECT\n{lines(columns)}\nFROM {backquoted(rows)}\nWHERE {' AND '.join(conditions)}"


def insert(into: str, columns: Iterable[str], rows: str, *conditions: str) -> str:
    """`select`, written to a table."""
    return f"INSERT INTO {backquoted(into)}\n{select(columns, rows, *conditions)}"


def named(sql: str, name: str) -> str:
    """An expression under a name, which a column of that name has already."""
    return sql if sql == backquoted(name) else f"{sql} AS {backquoted(name)}"


def lines(items: Iterable[str]) -> str:
    """``items`` one below the other, indented."""
    return ",\n".join(f"  {item}" for item in items)
