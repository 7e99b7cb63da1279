"""Supervised processes: what is ended, and what is never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from features.errors import StackError
from features.signals import signals_to
from infra.local.processes import Processes

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
PARENT = (
    sys.executable,
    "-c",
    "import subprocess, sys, time; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)\n"
    "time.sleep(600)",
)
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)",
)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """A run folder; whatever a test leaves running is ended."""
    made = Processes(tmp_path)
    yield made
    for record in made.records.glob("*.json"):
        made.stop(record.stem, seconds=0)


def wait_for(text: Callable[[], str]) -> str:
    """The first text that isn't empty, within 10 s."""
    deadline = time.monotonic() + 10
    while not text():
        assert time.monotonic() < deadline, "nothing came in 10 s"
        time.sleep(0.02)
    return text()


def runs(pid: int) -> bool:
    """Whether a process with this pid runs; a zombie doesn't."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_process_is_recorded_and_logged(processes: Processes) -> None:
    """Its record gives the pid, and its output is in its log."""
    process = processes.start("hello", (sys.executable, "-c", "print('hello'); import time; time.sleep(600)"))
    assert processes.running("hello") == process
    assert wait_for(lambda: Path(process.log).read_text()) == "hello\n"


def test_another_command_finds_what_the_first_started(processes: Processes, tmp_path: Path) -> None:
    """A record is all that a later command needs."""
    process = processes.start("sleep", SLEEP)
    assert Processes(tmp_path).running("sleep") == process
    assert Processes(tmp_path).stop("sleep")
    assert not runs(process.pid)


def test_starting_twice_starts_once(processes: Processes) -> None:
    """What runs already is left alone."""
    assert processes.start("sleep", SLEEP).pid == processes.start("sleep", SLEEP).pid


def test_stopping_ends_children_too(processes: Processes) -> None:
    """No orphan stays behind."""
    process = processes.start("parent", PARENT)
    child = int(wait_for(lambda: Path(process.log).read_text()))
    assert processes.stop("parent")
    assert not runs(process.pid)
    assert not runs(child)
    assert processes.running("parent") is None


def test_children_of_a_killed_leader_are_ended(processes: Processes) -> None:
    """A leader that was killed leaves children; stopping finds them."""
    process = processes.start("parent", PARENT)
    child = int(wait_for(lambda: Path(process.log).read_text()))
    os.kill(process.pid, signal.SIGKILL)
    psutil.Process(process.pid).wait(10)
    assert runs(child)
    assert processes.running("parent") is None
    assert processes.stop("parent")
    assert not runs(child)


def test_a_process_deaf_to_sigterm_is_killed(processes: Processes) -> None:
    """After the time given, SIGKILL."""
    process = processes.start("deaf", DEAF)
    wait_for(lambda: Path(process.log).read_text())
    assert processes.stop("deaf", seconds=0.2)
    assert not runs(process.pid)


def test_a_reused_pid_is_never_touched(processes: Processes, tmp_path: Path) -> None:
    """A record whose pid belongs to a process created at another time ends nothing."""
    process = processes.start("ours", SLEEP)
    stranger = subprocess.Popen(SLEEP, start_new_session=True)
    try:
        stale = msgspec.structs.replace(process, name="stale", pid=stranger.pid, created=process.created - 1)
        (tmp_path / "processes" / "stale.json").write_bytes(msgspec.json.encode(stale))
        assert processes.running("stale") is None
        assert not processes.stop("stale", seconds=0)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_was_started_and_not_recorded_is_found(processes: Processes) -> None:
    """The command was killed, or the disk full, before the pid was written: the next start ends that process first."""
    process = processes.start("sleep", SLEEP)
    (processes.records / "sleep.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(process, pid=0, created=0.0)))
    assert processes.running("sleep") is None
    assert processes.start("sleep", SLEEP).pid != process.pid
    assert not runs(process.pid)


def test_an_interrupted_start_is_recorded_first(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes while the process is made: it is heard once the record has its pid."""
    begin = subprocess.Popen

    def interrupted(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        signal.raise_signal(signal.SIGINT)
        return begin(*words, **options)

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with signals_to(signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        processes.start("sleep", SLEEP)
    running = processes.running("sleep")
    assert running is not None
    assert runs(running.pid)


def test_a_process_is_the_same_whatever_the_clock_says(processes: Processes) -> None:
    """Its time of creation moves where the machine's clock is set."""
    process = processes.start("sleep", SLEEP)
    shifted = msgspec.structs.replace(process, created=process.created + 1)
    (processes.records / "sleep.json").write_bytes(msgspec.json.encode(shifted))
    assert processes.running("sleep") == shifted
    assert processes.stop("sleep")
    assert not runs(process.pid)


@pytest.mark.slow
def test_the_cpu_of_what_runs_is_that_of_its_children_too(processes: Processes) -> None:
    """By name, what has ended left out; it only grows."""
    busy = "while True: pass"
    program = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {busy!r}]); time.sleep(600)"
    processes.start("busy", (sys.executable, "-c", program))
    processes.start("sleep", SLEEP)
    wait_for(lambda: "1" if processes.cpu_seconds()["busy"] > 0.5 else "")
    used = processes.cpu_seconds()
    assert used.keys() == {"busy", "sleep"}
    assert used["sleep"] < 0.5 < used["busy"] <= processes.cpu_seconds()["busy"]
    processes.stop("busy")
    assert processes.cpu_seconds().keys() == {"sleep"}


def test_all_that_runs_here_is_gone_through_once_for_the_cpu_of_all(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many processes were started: a page that is open looks every few seconds."""
    for name in ("one", "two", "three"):
        processes.start(name, SLEEP)
    walks: list[int] = []
    walk = psutil.process_iter
    monkeypatch.setattr(psutil, "process_iter", lambda: walks.append(1) or walk())
    assert processes.cpu_seconds().keys() == {"one", "two", "three"}
    assert len(walks) == 1


def test_a_stale_record_is_cleaned(processes: Processes) -> None:
    """What died by itself isn't running, and stopping it forgets it."""
    process = processes.start("short", (sys.executable, "-c", ""))
    psutil.Process(process.pid).wait(10)
    assert processes.running("short") is None
    assert processes.recorded("short") == process
    assert not processes.stop("short")
    assert processes.recorded("short") is None


@pytest.mark.parametrize("step", ["_record", "forget"])
def test_a_rename_that_was_killed_is_done_by_the_next(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before or after the new record was written: the process runs on, and its log is whole and of the new name."""
    begun = processes.start("one~new", (sys.executable, "-c", "print('new'); import time; time.sleep(600)"))
    processes.logs.joinpath("one.log").write_text("old")
    wait_for(lambda: Path(begun.log).read_text())

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as within:
        within.setattr(processes, step, killed if step == "_record" else lambda name: name == "one" or killed())
        with pytest.raises(SystemExit):
            processes.rename("one~new", "one")
    Processes(tmp_path).rename("one~new", "one")
    assert processes.names() == ["one"]
    running = processes.running("one")
    assert running is not None
    assert running.pid == begun.pid
    assert Path(running.log).read_text() == "new\n"
    assert (processes.logs / "one.before.log").read_text() == "old"


def test_a_second_command_does_not_race(processes: Processes, tmp_path: Path) -> None:
    """While one holds the folder another is refused at once."""
    with processes.lock(), pytest.raises(StackError, match="one command at a time"), Processes(tmp_path).lock():
        pass
    with Processes(tmp_path).lock():
        pass
