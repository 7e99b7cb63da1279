"""Small files that are written whole or not at all, and how a disk's refusal looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from features.errors import StackError
from schemas.codec import UNREADABLE

T = TypeVar("T")
_DECODING = threading.Lock()
"""msgspec 0.22 may crash where two threads use a type for the first time."""


def read_json(file: Path, kind: type[T]) -> T | None:
    """The value in ``file``; None where it is missing or broken."""
    try:
        content = file.read_bytes()
        with _DECODING:
            return msgspec.json.decode(content, type=kind)
    except (OSError, *UNREADABLE):
        return None


def write_whole(file: Path, content: bytes) -> None:
    """Write ``content`` beside ``file`` and rename it there: a reader finds the old or the new, never half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def fresh(file: Path) -> Path:
    """The file, gone, in a folder that is there: what is written there next is of what starts now."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    return file


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Within, what the disk refuses is a `StackError` of one line."""
    try:
        yield
    except OSError as error:
        came = error.strerror or str(error)
        where = error.filename or folder
        raise StackError(f"the stack keeps its files in {folder}; {where}: {came}; fix that, and try again") from error
