"""The online store, read within a bound of time, whatever it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLongError
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar, TypeVarTuple

import structlog

from features.feast.keys import UnheldKeyError
from features.feast.online import ReadRows, open_online_store
from features.plan import BatchView
from serving.predict.loading import OpenStore

PAUSE_SECONDS = 1.0
"""After a failure nothing is read for so long: a request has what there is for a store that is down, at once."""

Wanted = TypeVarTuple("Wanted")
Found = TypeVar("Found")

log = structlog.get_logger()


class StoreDownError(Exception):
    """The online store gave no rows in time."""


class Within(Generic[*Wanted, Found]):
    """What ``read`` gives, within ``seconds``; raises `StoreDownError` where it gives nothing by then.

    ``read`` runs on a thread of its own, since no client of a store can be trusted to give up. As long as it has not come back,
    nothing else is read. One thread at a time may call this.
    """

    def __init__(self, read: Callable[[*Wanted], Found], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._wanted: SimpleQueue[tuple[Future[Found], tuple[*Wanted]]] = SimpleQueue()
        self._under_way: Future[Found] | None = None
        Thread(target=self._work, name="online-store", daemon=True).start()  # it may hang: nobody waits for its end
        self._again_at = clock()
        self._said = ""

    def __call__(self, *wanted: *Wanted) -> Found:
        """What ``read`` gives for it."""
        if self._clock() < self._again_at or (self._under_way is not None and not self._under_way.done()):
            raise StoreDownError(self._said)
        self._under_way = Future()
        self._wanted.put((self._under_way, wanted))
        try:
            found = self._under_way.result(self._seconds)
        except UnheldKeyError:
            raise
        except TooLongError:
            raise self._down(f"it gave nothing within {self._seconds * 1000:.0f} ms") from None
        except Exception as error:  # each online store has errors of its own
            raise self._down(f"{type(error).__name__}: {error}") from error
        if self._said:
            log.info("the online store is back")
            self._said = ""
        return found

    def _work(self) -> None:
        while True:
            future, wanted = self._wanted.get()
            try:
                future.set_result(self._read(*wanted))
            except BaseException as error:  # is raised where it is waited for
                future.set_exception(error)

    def _down(self, why: str) -> StoreDownError:
        self._again_at = self._clock() + PAUSE_SECONDS
        if not self._said:
            log.error("the online store is down", error=why)
        self._said = why
        return StoreDownError(why)


def opening_within(seconds: float) -> OpenStore:
    """Opens the online store, to be read within so many seconds each time."""

    def opened(folder: Path, objects: Sequence[Any], views: Sequence[BatchView]) -> ReadRows:
        return Within(open_online_store(folder, objects, views), seconds)

    return opened
