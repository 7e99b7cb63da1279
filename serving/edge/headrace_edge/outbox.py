"""The outbox: every event that was taken, as it came, with its prediction; appended to before the prediction is given out.

::

    outbox/<source>-<number>.jsonl      {"id": 7, …, "_edge": {"n": 41, "prediction": {…}}}

A line is an event that ``headrace publish`` sends as it is: the stream ignores the field that it does not know. ``n`` is the
order in which events of all sources were taken. A saved state closes the files: what is taken from then on is in files of the
next number, and files of lower numbers may be removed once they are published.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .events import OWN

FILE = re.compile(r"(?P<source>.+)-(?P<number>\d{8})\.jsonl")
MARK = f',"{OWN}":'
"""Stands before what the runner adds. It is nowhere within a text of JSON, whose quotes are escaped."""


class Place(NamedTuple):
    """Where a line lies."""

    number: int
    offset: int


class Line(NamedTuple):
    """A line that was read back."""

    source: str
    event: str
    """As it came."""
    own: dict[str, Any]
    place: Place


class Outbox:
    """The files in a folder, of which those with the newest number are appended to."""

    def __init__(self, folder: Path, number: int, sync: bool = False) -> None:
        """``sync``: wait for the disk after each event, which then also outlives a loss of power."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.number = max([number, *(found for _, found, _ in self._files())])
        self._sync = sync
        self._open: dict[str, int] = {}

    def append(self, source: str, event: str, own: dict[str, Any]) -> Place:
        """Add an event; when this returns, the operating system has it."""
        text = event.strip()
        line = f"{text[:-1].rstrip()}{MARK}{json.dumps(own, separators=(',', ':'))}}}\n".encode()
        file = self._open.get(source)
        if file is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            file = self._open[source] = os.open(self._path(source, self.number), flags, 0o644)
        place = Place(self.number, os.lseek(file, 0, os.SEEK_END))
        written = 0
        while written < len(line):  # a full disk raises
            written += os.write(file, line[written:])
        if self._sync:
            os.fsync(file)
        return place

    def since(self, number: int) -> Iterator[Line]:
        """The lines of files from this number on, in the order in which they were taken.

        The end of a file that is no whole line is cut off: the runner was killed as it wrote it, and nobody has its prediction.
        """
        found = [line for source, its, path in self._files() if its >= number for line in _lines(source, its, path)]
        yield from sorted(found, key=lambda line: line.own["n"])

    def at(self, source: str, place: Place) -> Line | None:
        """The line at a place; None where its file was removed."""
        try:
            with self._path(source, place.number).open("rb") as file:
                file.seek(place.offset)
                return _line(source, place, file.readline())
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Close the files, once the disk has what is in them."""
        for file in self._open.values():
            os.fsync(file)
            os.close(file)
        self._open.clear()

    def next(self) -> int:
        """Go on with files of the next number, if those of this one have anything; gives the number."""
        has = any(number == self.number and path.stat().st_size for _, number, path in self._files())
        self.close()
        self.number += has
        return self.number

    def _path(self, source: str, number: int) -> Path:
        return self._folder / f"{source}-{number:08}.jsonl"

    def _files(self) -> list[tuple[str, int, Path]]:
        found = [(FILE.fullmatch(path.name), path) for path in sorted(self._folder.iterdir())]
        return [(match["source"], int(match["number"]), path) for match, path in found if match]


def _lines(source: str, number: int, path: Path) -> Iterator[Line]:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    offset = 0
    for line in content[:whole].splitlines(keepends=True):
        yield _line(source, Place(number, offset), line)
        offset += len(line)


def _line(source: str, place: Place, content: bytes) -> Line:
    event, _, own = content.decode().rstrip("\n").rpartition(MARK)
    return Line(source, f"{event}}}", json.loads(own[:-1]), place)
