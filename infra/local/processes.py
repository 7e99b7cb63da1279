"""Local processes that outlive the command which started them: each in a session of its own, with a log and a record.

A record (``processes/<name>.json``) holds a pid, which may belong to someone else by now, and a mark of its own: the process and
its children are those that have it as `MARK` in their environment. It is written before the process starts, so that none is lost
where the command is killed in between, or the disk is full.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
from filelock import FileLock, Timeout

from features.disk import keep
from features.errors import StackError
from features.signals import signals_held
from infra.local.files import read_json

MARK = "_HEADRACE_PROCESS"
"""The environment variable that says which record a process belongs to; the underscore keeps it out of the settings' names."""

STOP_SECONDS = 20.0


class Process(msgspec.Struct, frozen=True):
    """A process that was started here: the leader of its session."""

    name: str
    pid: int
    """0 where it was about to be started."""
    created: float
    """psutil's create_time, seconds since the epoch; it moves with the clock."""
    mark: str
    command: tuple[str, ...]
    log: str
    told: dict[str, Any] = {}
    """What else its starter wants to know of it later."""


class Processes:
    """The processes of one run folder.

    ::

        <folder>/processes/<name>.json   the record
        <folder>/logs/<name>.log         stdout and stderr, of the current run and those before
    """

    def __init__(self, folder: Path) -> None:
        self.records = folder / "processes"
        self.logs = folder / "logs"
        self._lock = folder / "lock"
        self._children: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder; raises `StackError` at once where another command holds it."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held = FileLock(self._lock, timeout=0).acquire()
        except Timeout:
            raise StackError(f"one command at a time may change the stack; another holds {self._lock}; wait for it") from None
        with held:
            yield

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        told: Mapping[str, Any] | None = None,
    ) -> Process:
        """Start ``command`` unless it runs, with ``environment`` over this one's; what a dead run left behind is ended first."""
        running = self.running(name)
        if running:
            return running
        self.stop(name)
        for folder in (self.records, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        mark, log = f"{name}:{uuid.uuid4().hex}", self.logs / f"{name}.log"
        intended = Process(name, 0, 0.0, mark, tuple(command), str(log), dict(told or {}))
        with signals_held():  # whoever is interrupted can say that it runs
            self._record(intended)
            with log.open("ab") as output:
                child = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {}), MARK: mark},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._children.append(child)
            process = msgspec.structs.replace(intended, pid=child.pid, created=psutil.Process(child.pid).create_time())
            self._record(process)
        return process

    def running(self, name: str) -> Process | None:
        """The process called ``name``, if it runs."""
        process = self.recorded(name)
        return process if process and _is_alive(process) else None

    def recorded(self, name: str) -> Process | None:
        """What was started last as ``name`` and not stopped, running or not."""
        return read_json(self._file(name), Process)

    def names(self) -> list[str]:
        """Of all that was started and not stopped."""
        return sorted(file.stem for file in self.records.glob("*.json"))

    def cpu_seconds(self) -> dict[str, float]:
        """By name, the seconds of CPU that what runs has used, with the processes that it started and that still run."""
        running = {name: process for name in self.names() if (process := self.running(name))}
        used, sessions = dict.fromkeys(running, 0.0), {process.pid: process for process in running.values()}
        for member in psutil.process_iter():
            process = sessions.get(_session(member))
            if process is not None and _belongs(member, process):
                used[process.name] += _cpu_seconds(member)
        return used

    def stop(self, name: str, seconds: float = STOP_SECONDS) -> bool:
        """End ``name`` and all of its session: SIGTERM, then SIGKILL after ``seconds``. False where nothing of it ran."""
        process = self.recorded(name)
        members = _members(process) if process else []
        if process and members:
            _signal(members, signal.SIGTERM)
            if not _gone(process, members, seconds):
                left = _members(process)
                _signal(left, signal.SIGKILL)
                _gone(process, left, seconds)
        self.forget(name)
        return bool(members)

    def rename(self, name: str, to: str) -> None:
        """Have what was started as ``name`` be called ``to``, and so its log. What was called so is stopped.

        Where a call was killed in between, the same call again does the rest: both names may be this process's by then.
        """
        process, other = self.recorded(name), self.recorded(to)
        if process is None:
            return
        if other is None or other.mark != process.mark:
            self.stop(to)
            log, old = self.logs / f"{to}.log", Path(process.log)
            if old.is_file():
                if log.is_file():
                    log.replace(log.with_suffix(".before.log"))
                old.replace(log)
            self._record(msgspec.structs.replace(process, name=to, log=str(log)))
        self.forget(name)

    def forget(self, name: str) -> None:
        """Remove the record of ``name``, and leave the process alone."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.records / f"{name}.json"

    def _record(self, process: Process) -> None:
        keep(self._file(process.name), process)


def _is_alive(process: Process) -> bool:
    with suppress(psutil.Error):
        return process.pid > 0 and _is_leader(psutil.Process(process.pid), process)
    return False


def _is_leader(member: psutil.Process, process: Process) -> bool:
    """Whether ``member``, which has its pid, is ``process``: it has its mark, or, as it ends, its time of creation."""
    if member.status() == psutil.STATUS_ZOMBIE:
        return False
    return member.create_time() == process.created or member.environ().get(MARK) == process.mark


def _members(process: Process) -> list[psutil.Process]:
    """The live processes of the session that ``process`` leads or led; none where its pid is someone else's now."""
    return [member for member in psutil.process_iter() if _belongs(member, process)]


def _belongs(member: psutil.Process, process: Process) -> bool:
    with suppress(psutil.Error, ProcessLookupError):
        if process.pid and _session(member) != process.pid:
            return False
        if member.pid == process.pid:
            return _is_leader(member, process)
        return member.status() != psutil.STATUS_ZOMBIE and member.environ().get(MARK) == process.mark
    return False


def _session(member: psutil.Process) -> int:
    """The pid of the process that leads its session; 0, which none has, where it has ended."""
    with suppress(ProcessLookupError):
        return os.getsid(member.pid)
    return 0


def _cpu_seconds(member: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = member.cpu_times()
        return float(times.user + times.system)
    return 0.0


def _signal(members: Sequence[psutil.Process], number: signal.Signals) -> None:
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(number)


def _gone(process: Process, signalled: Sequence[psutil.Process], seconds: float) -> bool:
    """Wait until none is left. One that is ending has lost its environment, and is no member any more: it is waited for too."""
    deadline = time.monotonic() + seconds
    while _members(process) or any(_runs(member) for member in signalled):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _runs(member: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    return False
