"""SIGTERM and SIGINT end the input, between two events: what was taken is then saved as it is at the end of a file."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT)


class _NoMoreError(Exception):
    """Leaves the wait for a line."""


class Stop:
    """Listens for the signals that end a process; ``signal`` is the one that came, or 0."""

    def __init__(self) -> None:
        self.signal = 0
        self._waiting = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Within, the first signal is noted; one more ends the process at once, as it would without this."""
        before = {number: signal.signal(number, self._hear) for number in ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def lines(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """The lines until a signal comes: the one that is being waited for is not taken any more, the one in hand is finished."""
        while True:
            try:
                self._waiting = True
                line = None if self.signal else next(lines, None)
                self._waiting = False
            except _NoMoreError:
                line = None
            if line is None:
                return
            yield line

    def _hear(self, number: int, frame: FrameType | None) -> None:
        for one in ENDING:
            signal.signal(one, signal.SIG_DFL)
        self.signal = number
        if self._waiting:
            self._waiting = False
            raise _NoMoreError
