"""A service's deployment log: an append-only row of files, one for each entry, each created by one writer."""

from __future__ import annotations

import getpass
import os
import socket

import msgspec

from features.errors import SettingError
from schemas.codec import UNREADABLE
from serving.models.lifecycle import Deployed, Entry, apply
from serving.models.store import Store

DIGITS = 8
_entry = msgspec.json.Decoder(Entry).decode
"""Made as the module is imported: msgspec 0.22 may crash where two threads use a type for the first time."""


class Log:
    """The log of one service below ``folder``. What was read once is kept: an entry never changes."""

    def __init__(self, store: Store, folder: str, service: str) -> None:
        self._store = store
        self._folder = folder
        self._known: tuple[tuple[Entry, ...], Deployed] = (), Deployed(service)

    def read(self) -> tuple[tuple[Entry, ...], Deployed]:
        """The entries so far, and what is deployed after them."""
        entries, deployed = self._known
        for entry in self._first() if not entries else self._newer(len(entries)):
            entries, deployed = (*entries, entry), apply(deployed, entry)
        self._known = entries, deployed
        return self._known

    def append(self, entry: Entry) -> bool:
        """Write the entry; False where another has its number.

        An entry that was written though its writer was not told so (the connection broke, and the store's library tried again) is
        known by its id.
        """
        path = self._path(entry.seq)
        if self._store.create(path, msgspec.json.format(msgspec.json.encode(entry), indent=2)):
            return True
        return self._decoded(path, self._store.read(path)).id == entry.id

    def _first(self) -> list[Entry]:
        """All entries, read at once. Raises `SettingError` where one is missing."""
        names = [name for name in self._store.paths(self._folder) if "/" not in name and name[:DIGITS].isdecimal()]
        expected = [f"{seq:0{DIGITS}}.json" for seq in range(1, len(names) + 1)]
        if names != expected:
            missing = next(name for name in expected if name not in names)
            raise SettingError(f"a deployment log has all of its entries; {self._folder} has no {missing}; restore it")
        paths = [f"{self._folder}/{name}" for name in names]
        return [self._decoded(path, content) for path, content in zip(paths, self._store.read_all(paths), strict=True)]

    def _newer(self, after: int) -> list[Entry]:
        """The entries after one, by their numbers: a listing costs more than one look for a file that is mostly not there."""
        found: list[Entry] = []
        while True:
            path = self._path(after + len(found) + 1)
            try:
                content = self._store.read(path)
            except FileNotFoundError:
                return found
            found.append(self._decoded(path, content))

    def _decoded(self, path: str, content: bytes) -> Entry:
        try:
            return _entry(content)
        except UNREADABLE as error:
            raise SettingError(f"an entry of a deployment log is never changed; {path} gave {error}; restore it") from None

    def _path(self, seq: int) -> str:
        return f"{self._folder}/{seq:0{DIGITS}}.json"


def user() -> str:
    """Who changes something: the system's user at this machine."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
