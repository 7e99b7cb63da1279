"""The outbox: every event that was taken, as it came, with its prediction; appended to before the prediction is given out.

::

    outbox/<source>-<number>.jsonl      {"id": 7, …, "_edge": {"n": 41, "prediction": {…}}}

A line is an event that ``headrace publish`` sends as it is: the stream ignores the field that it does not know. ``n`` is the
order in which events of all sources were taken. A saved state closes the files: what is taken from then on is in files of the
next number, and files of lower numbers may be removed once they are published.

The disk knows of a file before it has the first event in it: else a loss of power could take the whole file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .errors import EdgeError
from .events import OWN
from .state import sync

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
            sync(self._folder)
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
        Raises `EdgeError` for a line that no runner wrote.
        """
        found = [line for source, its, path in self._files() if its >= number for line in _lines(source, its, path)]
        yield from sorted(found, key=lambda line: line.own["n"])

    def at(self, source: str, place: Place) -> Line | None:
        """The line at a place; None where its file was removed. Raises `EdgeError` where the file was changed."""
        path = self._path(source, place.number)
        try:
            with path.open("rb") as file:
                file.seek(place.offset)
                return _line(source, place, file.readline(), path)
        except FileNotFoundError:
            return None

    def next(self) -> int:
        """Go on with files of the next number, if those of this one have anything; gives the number.

        When this returns, the disk has what is in the files of this one, also what a runner before wrote that was killed.
        """
        written = [path for _, number, path in self._files() if number == self.number and path.stat().st_size]
        for file in self._open.values():
            os.close(file)
        self._open.clear()
        for path in (*written, self._folder):
            sync(path)
        self.number += bool(written)
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
    for line in content[:whole].split(b"\n")[:-1]:  # not splitlines: a carriage return is white space in JSON
        yield _line(source, Place(number, offset), line, path)
        offset += len(line) + 1


def _line(source: str, place: Place, content: bytes, path: Path) -> Line:
    try:
        event, _, own = content.decode().rstrip("\n").rpartition(MARK)
        found = json.loads(own[:-1])
        found["n"] = int(found["n"])
    except (ValueError, KeyError, TypeError, RecursionError):
        what = f"{path}, at byte {place.offset}"
        raise EdgeError(f"an outbox has the events that a runner took; {what}, has none; {ADVICE}") from None
    return Line(source, f"{event}}}", found, place)


ADVICE = "restore the file, or take it away, and all of the state with it, to begin without history"
