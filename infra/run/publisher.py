"""Events published by a process of its own, so that what that costs is not in the latencies that are measured here."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import Any

from features.errors import HeadraceError, StackError
from features.times import Span
from jobs.ingest.event_files import Feed
from jobs.ingest.publish import at_rate, merged, publish


class Publisher:
    """Publishes the events of ``feeds`` within ``span``, in order of event time, from when it is made.

    ``client`` is what a kafka-python client is given, ``rate`` events a second; None: flat out.
    """

    def __init__(self, feeds: Iterable[Feed], span: Span, client: dict[str, Any], rate: float | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._complaint, complain = context.Pipe(duplex=False)
        self._process = context.Process(target=_publish, args=(complain, tuple(feeds), span, client, rate), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the process inherits it: Ctrl-C is the command's
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        complain.close()

    def done(self) -> bool:
        """Whether every event has been sent; raises `StackError` where one could not be."""
        code = self._process.exitcode
        if code:
            said = self._complaint.recv() if self._complaint.poll() else ""
            raise StackError(f"the publisher failed: {said or f'its process ended with exit code {code}'}")
        return code == 0

    def close(self) -> None:
        """End it, if it has not ended."""
        self._process.terminate()
        self._process.join()
        self._complaint.close()


def _publish(complain: Connection, feeds: Iterable[Feed], span: Span, client: dict[str, Any], rate: float | None) -> None:
    try:
        publish(merged(feeds, span), client, at_rate(rate) if rate else None)
    except HeadraceError as error:
        complain.send(str(error))
        sys.exit(1)
