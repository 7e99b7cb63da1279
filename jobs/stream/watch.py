"""A running job, watched through Flink's REST API."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from features.errors import StackError

log = structlog.get_logger()

POLL_SECONDS = 0.25
WATCH_SECONDS = 2.0
"""Between two looks at the restarts of a job that runs: Flink replies to each with the cores that the events need."""
RESTARTS_IN_A_ROW = 10
"""A job that fails this often without a checkpoint in between will not recover by itself."""
CAUSED_BY = "Caused by: "


class Watch:
    """A running job, seen through Flink's REST API at ``rest``, ``host:port``.

    ``done`` says whether the job has come to an end: a job in this process takes the API with it.
    """

    def __init__(self, rest: str, job: str, done: Callable[[], bool]) -> None:
        self.id = job
        self.restarts = 0
        self.ended = False
        self._url = f"http://{rest}/jobs/{job}"
        self._done = done
        self._failures = 0
        self._checkpoints = 0
        self._newest = 0

    def until_running(self, stop: threading.Event, seconds: float = 120) -> bool:
        """Whether the job came to run, every task of it: False where it ended first or ``stop`` was set.

        Raises `StackError` where it fails, or does not run in time.
        """
        deadline = time.monotonic() + seconds
        while not self._done() and not stop.wait(POLL_SECONDS):
            with self._unless_it_ended():
                job = _get_json(self._url)
                if all(vertex["status"] in {"RUNNING", "FINISHED"} for vertex in job["vertices"]):
                    return True
                self.ended = job["state"] in {"FAILED", "CANCELED"}
                if self.ended or time.monotonic() > deadline:
                    cause = _newest_cause(self._exceptions())
                    raise StackError(f"the Flink job did not start: {job['state']}: {cause}; see the job's log")
        self.ended = self._done()
        return False

    def until_end(self, stop: threading.Event) -> None:
        """Return when the job ends or ``stop`` is set; log each restart; raise `StackError` when it fails for good."""
        looked = time.monotonic()
        while not self._done() and not stop.wait(POLL_SECONDS):
            if time.monotonic() < looked + WATCH_SECONDS:
                continue
            looked = time.monotonic()
            with self._unless_it_ended():
                self._count_restarts()
            if self._failures >= RESTARTS_IN_A_ROW:
                cause = _newest_cause(self._exceptions())
                raise StackError(f"the Flink job failed {self._failures} times in a row: {cause}; see the job's log")
        self.ended = self._done()

    def cancel(self) -> None:
        """End the job on its cluster; one that has ended stays as it is."""
        if not self.ended:
            request = urllib.request.Request(f"{self._url}?mode=cancel", method="PATCH")  # noqa: S310
            with self._unless_it_ended(), urllib.request.urlopen(request, timeout=10):  # noqa: S310
                log.info("stream.cancelled", job=self.id)

    @contextmanager
    def _unless_it_ended(self, seconds: float = 5) -> Iterator[None]:
        """An API that does not reply is no error where the job has come to its end, or soon does."""
        try:
            yield
        except StackError:
            deadline = time.monotonic() + seconds
            while not (self.ended or self._done()):
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def _count_restarts(self) -> None:
        """From what Flink has at hand: for its metrics it would collect all of them, and events would wait for that."""
        exceptions = self._exceptions()
        restarts = [exception for exception in exceptions if exception["timestamp"] > self._newest]
        checkpoints = int(_get_json(f"{self._url}/checkpoints")["counts"]["completed"])
        if checkpoints > self._checkpoints:
            self._checkpoints, self._failures = checkpoints, 0
        if restarts:
            self._newest = max(exception["timestamp"] for exception in restarts)
            self._failures += len(restarts)
            self.restarts += len(restarts)
            log.warning("stream.restart", restarts=self.restarts, cause=_newest_cause(exceptions))

    def _exceptions(self) -> list[Any]:
        """What Flink restarted the job for, the newest first; at most the last sixteen."""
        entries: list[Any] = _get_json(f"{self._url}/exceptions").get("exceptionHistory", {}).get("entries", [])
        return entries


def innermost_cause(stacktrace: str) -> str:
    """The first line of the innermost cause in a Java stack trace."""
    lines = [line.strip() for line in stacktrace.splitlines() if line.strip()]
    causes = [line.removeprefix(CAUSED_BY) for line in lines if line.startswith(CAUSED_BY)]
    return (causes or lines[:1] or ["it gave no reason"])[-1]


def _newest_cause(exceptions: list[Any]) -> str:
    return innermost_cause(str(exceptions[0]["stacktrace"])) if exceptions else "no exception is known"


def _get_json(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 - http to the job's own address
            return json.load(reply)
    except (OSError, http.client.HTTPException) as e:  # an API that ends resets its connections
        raise StackError(f"Flink's REST API at {url} did not reply: {e}; the JVM may have been killed: see the job's log") from e
