"""What is on the disk once it is written, a file's content and its name, whatever becomes of the machine."""

from __future__ import annotations

import os
from pathlib import Path


def write_synced(file: Path, content: bytes) -> None:
    """Write the content, so that it is on the disk; the name is there once its folder is synced too."""
    with file.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def replace_synced(file: Path, content: bytes) -> None:
    """Have the file hold the content, its folder made where there is none: a reader finds the old or the new."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.unfinished")
    write_synced(unfinished, content)
    unfinished.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in the folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
