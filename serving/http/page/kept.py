"""Files that other processes replace whole, each decoded once as long as it stays what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

from features.errors import StackError

T = TypeVar("T")

MOST_BYTES = 64 * 1024 * 1024
"""A longer file is not read: it would hold up the page."""


class Read(NamedTuple, Generic[T]):
    """What a file holds."""

    value: T
    written_at: int
    """UTC milliseconds."""


class Kept(Generic[T]):
    """The files that ``decode`` reads, which raises `HeadraceError` for one that is broken; several panels may have them.

    Those that look at once wait for the one that decodes, which holds the interpreter meanwhile anyway.
    """

    def __init__(self, decode: Callable[[Path], T]) -> None:
        self._decode = decode
        self._known: dict[Path, tuple[tuple[int, int, int], Read[T]]] = {}
        self._turn = Lock()

    def read(self, file: Path) -> Read[T] | None:
        """What the file holds; None where there is none. Raises `StackError` where it cannot be read, or as ``decode`` does."""
        with self._turn:
            return self._read(file)

    def _read(self, file: Path) -> Read[T] | None:
        try:
            found = file.stat()
            mark = found.st_mtime_ns, found.st_ino, found.st_size
            known = self._known.get(file)
            if known is not None and known[0] == mark:
                return known[1]
            if found.st_size > MOST_BYTES:
                raise StackError(f"the page reads files of at most {MOST_BYTES:,} bytes; {file} has {found.st_size:,}")
            read = Read(self._decode(file), found.st_mtime_ns // 1_000_000)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StackError(f"the page reads {file}, which gave: {error.strerror or error}; make it readable") from None
        self._known[file] = mark, read
        return read
