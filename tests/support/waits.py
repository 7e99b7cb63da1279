"""Waiting for what comes, in tests of several processes."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Poll ``condition`` until it holds; no more than half of the time goes into looking, the rest is for what is waited for."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if condition():
            return
        now = time.monotonic()
        assert now < deadline, "it did not come to pass"
        time.sleep(max(0.02, now - began))
