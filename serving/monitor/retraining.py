"""What a monitor starts so that a service is retrained by itself: a process, which nothing here waits for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

import structlog

log = structlog.get_logger()


class Child(Protocol):
    """A process that was started, as `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Its exit code; None: it runs."""


class Retraining:
    """Starts looks at whether to retrain, one at a time: at first, whenever an alarm has opened, and every so often.

    What a look finds, decides and does is the process's own (`headrace retrain --when`): counting goes on meanwhile, whatever
    becomes of it. One that runs when the monitor ends goes on, and holds its lock against the next.
    """

    def __init__(self, start: Callable[[], Child], every_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._start, self._every, self._clock = start, every_seconds, clock
        self._child: Child | None = None
        self._next = -math.inf

    def step(self, *, alarm_opened: bool = False) -> None:
        """Start a look if it is time and none runs. It never waits."""
        if alarm_opened:
            self._next = -math.inf
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            (log.info if code in (0, 1) else log.warning)("looked whether to retrain", exit_code=code)
        now = self._clock()
        if now < self._next:
            return
        self._next = now + self._every
        try:
            self._child = self._start()
        except OSError as error:  # no memory or no processes left: the next look may have them
            log.warning("a look whether to retrain could not be started", error=str(error))
