"""Jobs on a Flink cluster that outlived who watched them: a process that is killed cancels nothing."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from pathlib import Path

import structlog

from features.errors import StackError
from jobs.stream.watch import POLL_SECONDS, Watch, ended, reply_of

MARK = "headrace.held"
"""The parameter of a job that says which folder was held as it was submitted."""
END_SECONDS = 60.0
"""How long a job may take to be cancelled."""

log = structlog.get_logger()


def mark(folder: Path) -> str:
    """What `MARK` is of a job that was submitted while ``folder`` was held."""
    return hashlib.sha256(bytes(folder.resolve())).hexdigest()


def end(rest: str, folder: Path) -> None:
    """Cancel what runs at ``rest``, ``host:port``, and was submitted by a process that held ``folder``, as this one does now.

    Else two jobs would read the same topics, and everything be written twice. Raises `StackError` where one does not end.
    """
    for job in reply_of(f"http://{rest}/jobs/overview")["jobs"]:
        if job["end-time"] == -1 and _mark_of(rest, job["jid"]) == mark(folder):
            log.warning("stream.orphan", job=job["jid"], name=job["name"], rest=rest)
            _end(rest, job["jid"])


def _mark_of(rest: str, job: str) -> str | None:
    config = reply_of(f"http://{rest}/jobs/{job}/config").get("execution-config") or {}
    found: str | None = config.get("user-config", {}).get(MARK)
    return found


def _end(rest: str, job: str) -> None:
    is_over = partial(ended, rest, job)
    Watch(rest, job, is_over).cancel()
    deadline = time.monotonic() + END_SECONDS
    while not is_over():
        if time.monotonic() > deadline:
            raise StackError(
                f"a plan has one stream job; {job} at {rest}, of a process that was killed, was cancelled and did not end "
                f"in {END_SECONDS:.0f} s; cancel it on the cluster"
            )
        time.sleep(POLL_SECONDS)
