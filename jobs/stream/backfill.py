"""A job that begins with a history: what is known of it beside its checkpoints, and the way to the seam.

::

    <state>/backfill.json          the seam; as long as the checkpoints are there, the job is one that was backfilled
           /history/*.rows         deleted once all of it is in a checkpoint
           /history/<start>.sent   made by the job: all has been sent on, and what is missing is a checkpoint
           /history/<start>.kept   made by the job: all is in a checkpoint, and the topics are read from now on
"""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import structlog

from features.disk import keep, kept
from features.errors import StackError
from features.seam import Seam
from features.sql.flink.options import History

LOOK_SECONDS = 0.1

log = structlog.get_logger()


def history_folder(state: Path) -> Path:
    """Where the files of a history are until they are in a checkpoint."""
    return state / "history"


def record(state: Path, seam: Seam) -> None:
    """Note that the job whose checkpoints are in ``state`` begins with the files that are in its `history_folder`."""
    keep(_file(state), seam)


def forget(state: Path) -> None:
    """Take back what was noted, and delete the files: before others are written, which are of no use until all are there."""
    _file(state).unlink(missing_ok=True)
    shutil.rmtree(history_folder(state), ignore_errors=True)


def recorded(state: Path) -> Seam | None:
    """The seam of the job whose checkpoints are in ``state``; None where it was not backfilled."""
    return kept(_file(state), Seam)


def history_of(state: Path, *, is_restored: bool) -> History | None:
    """What the job is told of its history; None where it has none. Raises `StackError` where the history's files are gone.

    Files without a seam are of a load that was killed, and are deleted.
    """
    seam, folder = recorded(state), history_folder(state)
    if seam is None:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    found = len(list(folder.glob("*.rows")))
    if not is_restored and found < len(seam.from_ms) * seam.files:
        raise StackError(
            f"a backfilled job begins with its history; {folder} has {found} files of it, and no checkpoint is beside it; "
            "run 'headrace backfill' again"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return History(seam, str(folder.resolve()), uuid.uuid4().hex)


def await_seam(history: History, job: str, is_over: threading.Event, then: Callable[[], None]) -> None:
    """Wait until all of the history is in a checkpoint of the job at the URL ``job``; call ``then``, and delete the files.

    Requests the checkpoint as soon as it would do. Returns early where ``is_over`` is set.
    """
    folder = Path(history.folder)
    requested = False
    while not (folder / f"{history.start}.kept").exists():
        if is_over.wait(LOOK_SECONDS):
            return
        if not requested and (folder / f"{history.start}.sent").exists():
            requested = True
            _request_checkpoint(job)
    log.info("stream.backfilled", until_ms=history.seam.until_ms)
    then()
    for file in folder.iterdir():
        file.unlink()


def _request_checkpoint(job: str) -> None:
    body = json.dumps({"checkpointType": "CONFIGURED"}).encode()
    request = urllib.request.Request(f"{job}/checkpoints", body, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - http to the job's own address
            pass
    except (OSError, http.client.HTTPException) as error:
        log.info("stream.checkpoint", note="none was begun now; the next one does as well", error=repr(error))


def _file(state: Path) -> Path:
    return state / "backfill.json"
