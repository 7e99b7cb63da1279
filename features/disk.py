"""What is on the disk once it is written, a file's content and its name, whatever becomes of the machine."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TypeVar

import msgspec

from features.errors import StackError
from schemas.codec import UNREADABLE

T = TypeVar("T")
_DECODING = threading.Lock()
"""msgspec 0.22 may crash where two threads use a type for the first time."""


def write_synced(file: Path, content: bytes) -> None:
    """Write the content, so that it is on the disk; the name is there once its folder is synced too."""
    with file.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def replace_synced(file: Path, content: bytes) -> None:
    """Have the file hold the content, its folder made where there is none: a reader finds the old or the new, whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        write_synced(unfinished, content)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in the folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep(file: Path, value: msgspec.Struct) -> None:
    """Have the file hold the value as JSON."""
    replace_synced(file, msgspec.json.encode(value))


def kept(file: Path, kind: type[T]) -> T | None:
    """What was kept in ``file``; None where there is none. Raises `StackError` where it is not as it was kept."""
    try:
        content = file.read_bytes()
        with _DECODING:
            return msgspec.json.decode(content, type=kind)
    except FileNotFoundError:
        return None
    except (OSError, *UNREADABLE) as error:
        raise StackError(
            f"a file that Headrace keeps is as it was written; {file}: {error}; "
            "bring it back from a backup, or begin anew after 'headrace down --wipe'"
        ) from error
