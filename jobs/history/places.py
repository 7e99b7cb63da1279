"""Where the events of a history lie: in files, of this machine or of an object store, or in a table of a database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from glob import glob, has_magic
from pathlib import Path
from typing import IO, Any, Literal

import duckdb
import msgspec

from features.errors import SettingError
from features.plan import Source

PARQUET, CSV, LINES = ".parquet", ".csv", (".jsonl", ".ndjson")
KINDS = (PARQUET, CSV, *LINES)
DATABASES = ("sqlite", "postgresql", "postgres")
"""The schemes of URLs that name a table: ``sqlite:///orders.db#orders``."""
Written = str | Path
"""How a user names a place: a path, a glob, or a URL."""
Kind = Literal["parquet", "csv", "lines", "table"]
S3 = ("s3", "s3a")


class Place(msgspec.Struct, frozen=True):
    """Where events lie, and how they are read there."""

    text: str
    """As errors name it."""
    kind: Kind
    files: tuple[str, ...] = ()
    """The files in their order; none of a table."""
    partitions: tuple[str, ...] = ()
    """Columns that the folders of the files hold, ``country=IT``."""


def located(folder: Path, written: Written) -> Written:
    """A place as seen from ``folder``; URLs stay as they are, but that of an SQLite file, whose path may be relative."""
    text = str(written)
    scheme, is_url, rest = text.partition("://")
    if not is_url:
        return folder / written
    if scheme == "sqlite" and rest.startswith("/") and not rest.startswith("//"):
        return f"sqlite:///{(folder / rest[1:]).absolute()}"
    return str(folder / rest) if scheme == "file" else text


def history_of(source: Source, folder: Path, given: Mapping[str, Written]) -> Written:
    """Where the rows of ``source`` are: the place that is ``given`` for it, else its own history as seen from ``folder``."""
    return given.get(source.name) or located(folder, source.history)


def is_table(written: Written) -> bool:
    """Whether this names a table of a database."""
    scheme, is_url, _ = str(written).partition("://")
    return bool(is_url) and scheme.partition("+")[0] in DATABASES


def kind_of(written: Written) -> Kind:
    """What the name says of how events are written. Raises `SettingError` for another kind of file."""
    if is_table(written):
        return "table"
    suffix = Path(str(written)).suffix
    if suffix not in KINDS:
        raise SettingError(f"events are {', '.join(KINDS)} files; got {shown(written)}; convert it")
    return "parquet" if suffix == PARQUET else "csv" if suffix == CSV else "lines"


def shown(written: Written) -> str:
    """``written`` without the password that a URL may hold, whatever characters it has.

    >>> shown("postgresql://me:a/b@c@host:5432/x?sslpassword=d#y")
    'postgresql://me:…@host:5432/x?sslpassword=…#y'
    """
    without = re.sub(r"(://[^/@:]*):.*@", r"\1:…@", str(written))
    return re.sub(r"([?&](?:ssl)?password=)[^&#]*", r"\1…", without)


def place(written: Written, what: str) -> Place:
    """The place of ``what``. Raises `SettingError` where there is no such file, or it is of another kind."""
    text, kind = shown(written), kind_of(written)
    if kind == "table":
        return Place(text, kind)
    files = _in_store(str(written)) if "://" in str(written) else _on_disk(str(written), what)
    if not files:
        raise SettingError(f"{what}: no file {text}; put it there, or name another")
    return Place(text, kind, tuple(files), _partitions(str(written), files) if kind == "parquet" else ())


def is_there(written: Written) -> bool:
    """Whether anything is at a path; of a glob, a store and a database it is taken for granted."""
    return "://" in str(written) or has_magic(str(written)) or Path(written).exists()


def opened(file: str) -> IO[bytes]:
    """A file's bytes, of this machine or of a store."""
    if "://" not in file:
        return open(file, "rb")
    files, path = store(file)
    found: IO[bytes] = files.open(path, "rb")
    return found


def reachable(connection: duckdb.DuckDBPyConnection, found: Place) -> None:
    """Have ``connection`` read files of the place's object store, through fsspec."""
    if found.files and "://" in found.files[0]:
        files, _ = store(found.files[0])
        protocols = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
        if not protocols & set(connection.list_filesystems()):
            connection.register_filesystem(files)


def parquet(connection: duckdb.DuckDBPyConnection, files: str) -> Place:
    """The place of Parquet files by a path, a glob or a URL, which ``connection`` can read from then on."""
    there = Place(shown(files), "parquet", (files,))
    reachable(connection, there)
    return there


def exactly(file: str) -> str:
    """A file's name as a glob of that one file, for DuckDB takes names as globs."""
    return re.sub(r"([\[*?])", r"[\1]", file)


def store(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it. Raises `SettingError` where its library is missing."""
    from fsspec.core import url_to_fs

    protocol = url.partition("://")[0]
    try:
        files, path = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        extra = "pip install 'headrace[s3]'" if protocol in S3 else str(error)
        raise SettingError(f"events on {protocol}:// need the library that reads it; it is not installed; {extra}") from None
    except ValueError as error:
        rule = (
            f"events lie at a path, at a URL of an object store, s3://bucket/x.parquet, or in a table, {DATABASES[0]}:///x.db#x"
        )
        raise SettingError(f"{rule}; got {shown(url)}: {error}; change it") from None
    return files, str(path)


def _on_disk(path: str, what: str) -> list[str]:
    """The files of a path: the file of this very name, or those of a glob."""
    found = [path] if Path(path).exists() else sorted(glob(path, recursive=True))
    unreadable = [file for file in found if not Path(file).is_file()]
    if unreadable:
        raise SettingError(f"{what}: events are files; {unreadable[0]} is a folder, or a link to nothing; name a file")
    return found


def _in_store(url: str) -> list[str]:
    """The files of a URL, as URLs."""
    files, path = store(url)
    protocol = url.partition("://")[0]
    try:
        found = [path] if files.isfile(path) else sorted(files.glob(path)) if has_magic(path) else []
    except Exception as error:  # a store's errors have no common type
        raise SettingError(f"{shown(url)} cannot be read: {_first_line(error)}; fix the address or the rights") from None
    return [f"{protocol}://{str(file).lstrip('/')}" for file in found]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _partitions(written: str, files: list[str]) -> tuple[str, ...]:
    """The columns in the names of folders below the glob's first part that is one."""
    parts = Path(written).parts
    depth = next((number for number, part in enumerate(parts) if has_magic(part)), None)
    if files == [written] or depth is None:
        return ()
    return tuple(_names(Path(files[0]).parts[depth:-1]))


def _names(folders: tuple[str, ...]) -> Iterator[str]:
    return (name for name, equals, _ in (folder.partition("=") for folder in folders) if equals)
