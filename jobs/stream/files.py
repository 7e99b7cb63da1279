"""The files of a stream job: its checkpoints and what belongs to them, and those of an embedded RocksDB."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from features.errors import StackError
from features.outcomes import AnyJob, OutcomesPlan
from jobs.stream.config import StreamConfig


def checkpoint_folder(job: AnyJob, config: StreamConfig) -> Path:
    """Where the job's checkpoints are: a job of another plan, or of another backend, finds none there."""
    return state_folder(job, config.checkpoints, config.state_backend)


def state_folder(job: AnyJob, checkpoints: Path, state_backend: str) -> Path:
    """The same, by what it is of."""
    return checkpoints / job.name / job.short_digest / state_backend


def sources_file(state: Path) -> Path:
    """Beside the checkpoints in ``state``: what is known of the topics that they are of."""
    return state / "sources.json"


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest completed checkpoint below ``folder``: the one whose ``_metadata`` was written last."""
    done = sorted(folder.glob("*/chk-*/_metadata"), key=lambda file: file.stat().st_mtime)
    return done[-1].parent if done else None


def held_folder(job: AnyJob, checkpoints: Path) -> Path:
    """What a process holds while it runs the job."""
    folder = checkpoints / job.name
    return folder if isinstance(job, OutcomesPlan) else folder / job.short_digest


@contextmanager
def alone(job: AnyJob, checkpoints: Path) -> Iterator[None]:
    """Within, hold what ``job`` keeps below ``checkpoints``. Raises `StackError` at once where another process holds it.

    A stream job may run beside one of another plan, which it takes over from; a job of outcomes beside no other of its service.
    """
    folder, rule, stops = held_folder(job, checkpoints), "one stream job of a plan", "'headrace down'"
    if isinstance(job, OutcomesPlan):
        rule, stops = "one job of outcomes of a service", "'headrace up' with outcomes.run = false"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(folder / "lock", timeout=0).acquire()
    except Timeout:
        raise StackError(
            f"{rule} at a time; another holds {folder / 'lock'}; stop it first: {stops} stops a stack's, "
            "Ctrl-C one started by hand"
        ) from None
    with held:
        yield


@contextmanager
def rocksdb_folder(job: AnyJob, config: StreamConfig) -> Iterator[Path | None]:
    """The folder for the files of an embedded RocksDB, emptied of a run that was killed; else None.

    Under a short path, whatever the project's is: RocksDB makes one file name of it, with 170 characters of Flink's behind. It is
    a link, as the system's folder for temporary files may be memory.
    """
    folder = config.checkpoints / job.name / job.short_digest / "working"
    shutil.rmtree(folder, ignore_errors=True)
    if config.cluster or config.state_backend != "rocksdb":
        yield None
        return
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="headrace-") as short:
        link = Path(short) / "rocksdb"
        link.symlink_to(folder.resolve(), target_is_directory=True)
        yield link
