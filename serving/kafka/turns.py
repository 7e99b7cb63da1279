"""Which events of a service a scorer's plan predicts, while another plan takes over: `headrace up` decides, scorers look.

::

    events of a partition    ● ● ● ● ● ● ● ●│○ ○ ○ ○ ○      of which the plan before predicts ●, the one that takes over ○
                                            └─ the offset that is recorded

    <folder>/<service>.json                  the turns of the service's plans, the newest last
            /<service>.hold                  locked while an offset is chosen: the scorers of the plan before stand still
            /<service>.<plan>.<n>.held       what scorer n has seen of the hold, when it stands still

The file is replaced while the hold is locked, so a scorer that finds the lock free knows its turn: also where the command was
killed, since the lock goes with its process.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from features.errors import StackError
from schemas.codec import UNREADABLE

LOOK_SECONDS = 0.05
"""Between two looks, of two calls of the system each."""


class Turn(msgspec.Struct, frozen=True):
    """The events of the spine that a plan predicts, by partition of their topic and offset."""

    plan: str
    """The first 12 hex digits of its digest."""
    group: str
    """The consumer group of its scorers."""
    begins: dict[int, int] | None = {}
    """Those from these offsets on; of a partition that is not here, all. None: its turn has not come."""
    ends: dict[int, int] | None = None
    """Those before these offsets; of a partition that is not here, none. None: its turn goes on."""
    reads_from: dict[int, int] = {}
    """By partition of the feature vectors, where its scorers go when this is their turn: what lies before need not be read."""

    @property
    def is_bounded(self) -> bool:
        """Whether events have to be looked at one by one."""
        return bool(self.begins) or self.ends is not None

    def has(self, partition: int, offset: int) -> bool:
        """Whether the plan predicts the event that lies there.

        >>> before, after = Turn("a", "g", ends={0: 7}), Turn("b", "h", begins={0: 7})
        >>> before.has(0, 6), before.has(0, 7), before.has(1, 0), after.has(0, 6), after.has(0, 7), after.has(1, 0)
        (True, False, False, False, True, True)
        """
        if self.begins is None or offset < self.begins.get(partition, 0):
            return False
        return self.ends is None or offset < self.ends.get(partition, 0)


class Turns(msgspec.Struct, frozen=True):
    """What the file holds."""

    turns: tuple[Turn, ...] = ()

    @property
    def serving(self) -> Turn | None:
        """The newest turn that has begun and goes on."""
        return next((turn for turn in reversed(self.turns) if turn.begins is not None and turn.ends is None), None)

    def of(self, plan: str) -> Turn | None:
        """The newest turn of a plan; None where it never shared a service with another."""
        return next((turn for turn in reversed(self.turns) if turn.plan == plan), None)

    def others(self, plan: str) -> frozenset[str]:
        """The other plans whose vectors may be on the service's topic."""
        return frozenset(turn.plan for turn in self.turns if turn.plan != plan)


def turns_file(folder: Path, service: str) -> Path:
    """The turns of a service."""
    return folder / f"{service}.json"


def hold_file(folder: Path, service: str) -> Path:
    """What is locked while its scorers shall stand still."""
    return folder / f"{service}.hold"


def held_file(folder: Path, service: str, plan: str, instance: int) -> Path:
    """What a scorer of a plan writes when it stands still: what the hold says."""
    return folder / f"{service}.{plan}.{instance}.held"


def read_turns(folder: Path, service: str) -> Turns:
    """The turns of a service; none where there is no file. Raises `StackError` for a file that is none of ours."""
    file = turns_file(folder, service)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Turns)
    except FileNotFoundError:
        return Turns()
    except UNREADABLE as error:
        raise StackError(
            f"whose turn it is to score is in a file that a takeover wrote; {file} gave {error}; restore it"
        ) from None


class TurnWatch:
    """Looks for the turn of one scorer's plan, between two polls."""

    def __init__(
        self, folder: Path | None, service: str, plan: str, instance: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.turn: Turn | None = None
        """As of the last look."""
        self.others: frozenset[str] = frozenset()
        """The plans whose vectors are another scorer's."""
        self._folder, self._service, self._plan, self._instance = folder, service, plan, instance
        self._clock = clock
        self._next_look = 0.0
        self._seen: tuple[int, int] | None = None
        self._waits = False

    def waits(self) -> bool:
        """Whether the scorer is to stand still now: its turn has not come, or is about to be decided."""
        if self._folder is None or self._clock() < self._next_look:
            return self._waits
        self._next_look = self._clock() + LOOK_SECONDS
        is_held = self._is_held(self._folder)  # before the turns are read: they were replaced before it was let go
        self._read(self._folder)
        self._waits = is_held or (self.turn is not None and self.turn.begins is None)
        return self._waits

    def _read(self, folder: Path) -> None:
        try:
            found = turns_file(folder, self._service).stat()
        except FileNotFoundError:
            return
        seen = found.st_ino, found.st_mtime_ns
        if seen != self._seen:
            turns = read_turns(folder, self._service)
            self.turn, self.others, self._seen = turns.of(self._plan), turns.others(self._plan), seen

    def _is_held(self, folder: Path) -> bool:
        try:
            file = hold_file(folder, self._service).open("rb")
        except FileNotFoundError:
            return False
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
            except BlockingIOError:
                said = file.read()
        held = held_file(folder, self._service, self._plan, self._instance)
        if not held.is_file() or held.read_bytes() != said:
            held.write_bytes(said)
        return True
