"""Server-sent events of a stream of bytes (WHATWG HTML, section 9.2): what of them a stream of predictions has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Event(NamedTuple):
    """An event; an id may come without data, as the place at which a stream begins."""

    id: str
    data: bytes


def events(parts: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream in parts of any size; comments, and an event that is cut off, are none."""
    event_id, data = "", list[bytes]()
    has_id = False
    for line in _lines(parts):
        if not line:
            if data or has_id:
                yield Event(event_id, b"\n".join(data))
            data, has_id = [], False
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"id":
            event_id, has_id = value.decode(), True
        elif name == b"data":
            data.append(value)


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Lines that are whole, without their ends: LF, or CR and LF."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")
