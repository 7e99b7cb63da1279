"""Small files that a stack can do without, and how a disk's refusal looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from features.disk import kept
from features.errors import StackError

T = TypeVar("T")


def read_json(file: Path, kind: type[T]) -> T | None:
    """The value in ``file``; None where it is missing, or broken: for what is made again where it is not known."""
    try:
        return kept(file, kind)
    except StackError:
        return None


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
