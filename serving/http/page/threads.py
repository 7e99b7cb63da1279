"""Threads for what may hang: whoever waits for it has a deadline, and nobody waits for its end when the service stops.

The standard library's pool joins its threads as the process ends, whatever they wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class _Job(NamedTuple):
    future: Future[Any]
    call: Callable[[], Any]


class Threads:
    """So many threads, which begin with the first call. The event loop's thread alone has it."""

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._has_begun = False

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Call it once a thread is free, unless the future is cancelled by then."""
        if not self._has_begun:
            self._has_begun = True
            for _ in range(self._count):
                Thread(target=self._run, name=self._name, daemon=True).start()
        future: Future[T] = Future()
        self._jobs.put(_Job(future, call))
        return future

    def close(self) -> None:
        """Let them end, each when it is done with what it is at."""
        for _ in range(self._count if self._has_begun else 0):
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                job.future.set_result(job.call())
            except BaseException as error:  # is raised where it is waited for
                job.future.set_exception(error)
