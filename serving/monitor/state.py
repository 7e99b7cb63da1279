"""All that a monitor knows, in one value: it is written whole, with the offsets up to which it has counted.

So a restart goes on where the file says: records beyond it are read again and were never counted, and none before it is. What
is to be written to ``alarms`` is in the file before it is written there, with where the topic ended then: a monitor that was
killed in between looks from there on which of them the topic has.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from features.disk import replace_synced
from features.errors import StackError
from features.inputs.reference import Length
from schemas.alarm import Alarm
from schemas.codec import UNREADABLE
from serving.monitor.judge import Finding


class Window(msgspec.Struct):
    """What was predicted by one version in one window so far."""

    rows: int
    counts: dict[str, list[int]]
    """By input, how many values each cell has."""
    segments: dict[str, dict[str, list[int]]] = {}
    """By the column of segments and by input, the same of each segment, one behind the other."""
    sample: list[tuple[int, int | str, list[int]]] = []
    """Some of the events, those with the smallest hash: hash, id, the cell of each histogram of the reference, -1 for none."""


class Verdict(msgspec.Struct, frozen=True):
    """A closed window."""

    start: int
    rows: int
    counts: dict[str, list[int]]
    findings: list[Finding]
    """Of all predictions; none where the window has too few."""
    segments: list[Finding] = []
    """Of segments, those that drifted."""


class Track(msgspec.Struct):
    """How one input went of late."""

    recent: list[tuple[int, bool]] = []
    """The newest windows that were judged, oldest first: start, and whether it drifted."""
    alarm: Alarm | None = None
    """The one that is open."""


class Version(msgspec.Struct):
    """One version of a model."""

    model: str
    version: int
    reference: str
    """The sha256 of the reference that gives its counters their cells."""
    windows: dict[int, Window] = {}
    """Those that are open, by their start."""
    closed: list[Verdict] = []
    """The newest, oldest first."""
    tracks: dict[str, Track] = {}
    """By input, or by input and segment (`Finding.key`)."""


class State(msgspec.Struct):
    """All of it."""

    service: str
    length: Length
    versions: dict[str, Version] = {}
    """By ``<model>/<version>``."""
    closed_until: int = 0
    """Windows that start before are closed."""
    events: int = 0
    """Predictions that were counted."""
    late: int = 0
    """Predictions that came after their window was closed: they are in none."""
    without_reference: int = 0
    """Predictions of versions that have none."""
    unreadable: int = 0
    """Records that are no predictions."""
    offsets: dict[int, int] = {}
    """By partition, up to which all of this was counted."""
    newest: dict[int, int] = {}
    """By partition, the newest event time."""
    outbox: list[Alarm] = []
    """Alarms that are not known to be on their topic."""
    outbox_from: int = 0
    """The end of the topic when they were put here."""

    @property
    def alarms(self) -> list[Alarm]:
        """Those that are open."""
        return [t.alarm for version in self.versions.values() for t in version.tracks.values() if t.alarm is not None]


_state = msgspec.json.Decoder(State).decode
"""Made as the module is imported: msgspec 0.22 may crash where two threads use a type for the first time."""


def read_state(file: Path, service: str, length: Length) -> State:
    """What the file holds, or a new state where there is none. Raises `StackError` for a file that is broken or another's."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return State(service, length)
    try:
        state = _state(content)
    except UNREADABLE as error:
        raise StackError(
            f"a monitor's state is a file that it wrote; {file} gave {error}; restore it, or remove it: what the topic still has "
            "is counted anew"
        ) from None
    if (state.service, state.length) != (service, length):
        raise StackError(
            f"a monitor's state is of one service and window; {file} is of {state.service} by {state.length}; move it"
        )
    return state


def write_state(file: Path, state: State) -> None:
    """Write it whole, so that it is on the disk, its name too: a reader finds the old or the new."""
    replace_synced(file, msgspec.json.encode(state))
