"""What the panels about drift are made of: the monitor's counters of a service, and what its versions are held against."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from features.errors import StackError
from features.inputs.reference import LENGTH_MS, Histogram, Length, Reference, encode_reference
from serving.http.page.kept import Kept
from serving.monitor.monitor import GiveReference
from serving.monitor.state import State, Verdict, Version, read_state

SILENT_MS = 60_000
MOST_VERSIONS = 4
"""Versions that a panel shows, at most: those that predicted last."""


class Seen(NamedTuple):
    """What a monitor has counted, as its file said when it was read."""

    state: State
    saved_at: int
    """When the monitor wrote it, UTC milliseconds; it does so every few seconds while it runs."""

    @property
    def silent_since(self) -> int | None:
        """When it was last heard of, where that is longer ago than a monitor that runs ever keeps silent."""
        return self.saved_at if time.time() * 1000 - self.saved_at > SILENT_MS else None

    @property
    def length_ms(self) -> int:
        """Of a window."""
        return LENGTH_MS[self.state.length]

    @property
    def versions(self) -> list[Version]:
        """At most `MOST_VERSIONS`, those whose windows are newest first."""
        known = [version for version in self.state.versions.values() if version.closed or version.windows]
        return sorted(known, key=_newest, reverse=True)[:MOST_VERSIONS]


def judged(version: Version, most: int) -> list[Verdict]:
    """The newest ``most`` closed windows of which something was said, oldest first."""
    return [verdict for verdict in version.closed if verdict.findings][-most:]


def _newest(version: Version) -> tuple[int, int]:
    return max([*(verdict.start for verdict in version.closed[-1:]), *version.windows]), version.version


class Monitored:
    """The monitors' files, and the versions' references, which never change. `file_of` gives the file of a service."""

    def __init__(self, file_of: Callable[[str], Path], length: Length, references: GiveReference) -> None:
        self._file_of, self._length, self._give = file_of, length, references
        self._kept: dict[str, Kept[State]] = {}
        self._references: dict[tuple[str, int], tuple[Reference, str]] = {}

    def seen(self, service: str) -> Seen | None:
        """What the service's monitor has counted; None where it has never saved anything.

        Raises `StackError` for a file that is broken, or cannot be read.
        """
        kept = self._kept.setdefault(service, Kept(lambda file: read_state(file, service, self._length)))
        found = kept.read(self._file_of(service))
        return found and Seen(found.value, found.written_at)

    def reference(self, version: Version) -> Reference | None:
        """What a version is held against; None where the registry does not have it any more.

        Raises `StackError` where the monitor has counted with another one: its counters would be of other cells.
        """
        place = version.model, version.version
        if place not in self._references:
            found = self._give(*place)
            if found is None:
                return None
            self._references[place] = found, sha256(encode_reference(found)).hexdigest()
        reference, digest = self._references[place]
        if digest != version.reference:
            del self._references[place]  # whoever makes the registry or the state good need not start this service again
            raise StackError(
                f"a version has one reference for good; {version.model} v{version.version} had another when its predictions were "
                "counted; remove the monitor's state in the run folder, and start the monitor again"
            )
        return reference

    def histograms(self, version: Version) -> dict[str, Histogram]:
        """By input, of a version's training; none where the registry does not have it any more."""
        found = self.reference(version)
        return {histogram.name: histogram for histogram in found.histograms} if found else {}
