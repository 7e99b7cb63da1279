"""Names and texts in the quotes of SQL, once for each dialect."""

from __future__ import annotations


def quoted(name: str) -> str:
    """An identifier in DuckDB, as in standard SQL."""
    return '"' + name.replace('"', '""') + '"'


def backquoted(name: str) -> str:
    """An identifier in Flink SQL."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A text, in both."""
    return "'" + text.replace("'", "''") + "'"
