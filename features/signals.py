"""SIGTERM and SIGINT, which end a process, and for a while do something else."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


@contextmanager
def signals_to(handler: Handler) -> Iterator[None]:
    """Within, SIGTERM and SIGINT go to ``handler``. Nothing changes outside the main thread, which alone may set it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)


@contextmanager
def signals_held() -> Iterator[None]:
    """Within, SIGTERM and SIGINT wait: the first that came is raised when the block has ended."""
    came: list[int] = []
    try:
        with signals_to(lambda number, frame: came.append(number)):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


def stopped_by_signals(stop: threading.Event) -> AbstractContextManager[None]:
    """Within, SIGTERM and SIGINT set ``stop``."""
    return signals_to(lambda *_: stop.set())
