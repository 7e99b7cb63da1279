"""A running job, watched through Flink's REST API."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.request
from collections.abc import Callable
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
REFUSED = ("AuthorizationException", "AuthenticationException", "ConfigException")
"""Of Kafka's client: it will be refused again, however often the job restarts."""


class Watch:
    """A running job, seen through Flink's REST API at ``rest``, ``host:port``.

    ``done`` says whether the job has come to an end: a job in this process takes the API with it.
    """

    def __init__(self, rest: str, job: str, done: Callable[[], bool]) -> None:
        self.id = job
        self.restarts = 0
        self.ended = False
        self.url = f"http://{rest}/jobs/{job}"
        self._done = done
        self._failures = 0
        self.checkpoints: dict[str, Any] = {}
        """What Flink said of them last."""
        self._checkpoints = 0
        self._newest = 0

    def until_running(self, stop: threading.Event, seconds: float = 120) -> bool:
        """Whether the job came to run, every task of it: False where it ended first or ``stop`` was set.

        Raises `StackError` where it fails, or does not run in time. A task that reads its state takes as long as that is large.
        """
        deadline = time.monotonic() + seconds
        while not self._done() and not stop.wait(POLL_SECONDS):
            job = self._get("")
            if job is None:
                break
            tasks = {vertex["status"] for vertex in job["vertices"]}
            if tasks <= {"RUNNING", "FINISHED"}:
                return True
            self._raise_refusal(self._exceptions())
            self.ended = job["state"] in {"FAILED", "CANCELED"}
            is_late = time.monotonic() > deadline and "INITIALIZING" not in tasks
            if self.ended or is_late:
                raise StackError(f"the Flink job did not start: {job['state']}: {_cause(self._exceptions())}; see the job's log")
        self.ended = self._done()
        return False

    def until_end(self, stop: threading.Event, check: Callable[[], None] = lambda: None) -> None:
        """Return when the job ends or ``stop`` is set; log each restart; raise `StackError` when it fails for good.

        ``check`` is called all along, and may raise what else is wrong.
        """
        looked = time.monotonic()
        while not self._done() and not stop.wait(POLL_SECONDS):
            check()
            if time.monotonic() < looked + WATCH_SECONDS:
                continue
            looked = time.monotonic()
            self._count_restarts()
            if self._failures >= RESTARTS_IN_A_ROW:
                cause = _cause(self._exceptions())
                raise StackError(f"the Flink job failed {self._failures} times in a row: {cause}; see the job's log")
        self.ended = self._done()

    def cancel(self) -> None:
        """End the job on its cluster; one that has ended stays as it is."""
        if self.ended:
            return
        request = urllib.request.Request(f"{self.url}?mode=cancel", method="PATCH")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - http to the job's own address
                log.info("stream.cancelled", job=self.id)
        except (OSError, http.client.HTTPException) as error:
            if not self._done():
                raise StackError(f"Flink did not cancel {self.url}: {error}; cancel the job on the cluster") from error

    def _count_restarts(self) -> None:
        """From what Flink has at hand: for its metrics it would collect all of them, and events would wait for that."""
        exceptions, checkpoints = self._exceptions(), self._get("/checkpoints")
        self.checkpoints = checkpoints or self.checkpoints
        completed = int(checkpoints["counts"]["completed"]) if checkpoints else 0
        if completed > self._checkpoints:
            self._checkpoints, self._failures = completed, 0
        restarts = [exception for exception in exceptions if exception["timestamp"] > self._newest]
        if restarts:
            self._newest = max(exception["timestamp"] for exception in restarts)
            self._failures += len(restarts)
            self.restarts += len(restarts)
            log.warning("stream.restart", restarts=self.restarts, cause=_cause(exceptions))
            self._raise_refusal(exceptions)

    @staticmethod
    def _raise_refusal(exceptions: list[Any]) -> None:
        """Raise `StackError` where Kafka refused who we are or what we do, or its client its configuration."""
        cause = _cause(exceptions)
        if exceptions and any(name in cause for name in REFUSED):
            raise StackError(f"the Flink job cannot work with Kafka: {cause}; see docs/secured-kafka.md, and the job's log")

    def _exceptions(self) -> list[Any]:
        """What Flink restarted the job for, the newest first; at most the last sixteen."""
        reply = self._get("/exceptions") or {}
        entries: list[Any] = reply.get("exceptionHistory", {}).get("entries", [])
        return entries

    def _get(self, path: str, seconds: float = 5) -> Any:
        """What the API replies; None where it is gone because the job has come to its end, or soon does."""
        try:
            return reply_of(self.url + path)
        except StackError:
            deadline = time.monotonic() + seconds
            while not self._done():
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
        return None


def ended(rest: str, job: str) -> bool:
    """Whether the job on the cluster at ``rest``, ``host:port``, has come to its end, as far as the API can tell."""
    try:
        return reply_of(f"http://{rest}/jobs/{job}/status")["status"] in {"FINISHED", "FAILED", "CANCELED"}
    except StackError:
        return False


def innermost_cause(stacktrace: str) -> str:
    """The first line of the innermost cause in a Java stack trace."""
    lines = [line.strip() for line in stacktrace.splitlines() if line.strip()]
    causes = [line.removeprefix(CAUSED_BY) for line in lines if line.startswith(CAUSED_BY)]
    return (causes or lines[:1] or ["it gave no reason"])[-1]


def _cause(exceptions: list[Any]) -> str:
    return innermost_cause(str(exceptions[0]["stacktrace"])) if exceptions else "no exception is known"


def reply_of(url: str) -> Any:
    """What Flink's REST API replies. Raises `StackError` where it does not."""
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 - http to the job's own address
            return json.load(reply)
    except (OSError, http.client.HTTPException, ValueError) as error:  # an API that ends resets its connections
        raise StackError(
            f"Flink's REST API at {url} did not reply: {error}; the JVM may have been killed: see the job's log"
        ) from error
