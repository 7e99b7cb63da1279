"""What processes use of the cores, from the operating system: of a JVM also what its JIT compilers use."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

COMPILERS = ("C1 CompilerThre", "C2 CompilerThre")
"""Linux keeps fifteen characters of a thread's name."""
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def cores(processes: Mapping[str, tuple[int, ...]]) -> Iterator[dict[str, float]]:
    """Filled at the end of the block: how many cores were used within it, by the names of ``processes``, which hold pids."""
    used: dict[str, float] = {}
    began, before = time.monotonic(), {name: _seconds(pids) for name, pids in processes.items()}
    yield used
    took = time.monotonic() - began
    used |= {name: (_seconds(pids) - before[name]) / took for name, pids in processes.items()}


def compiler_seconds(pid: int) -> float:
    """What the JIT compilers of a JVM have used so far. A compiler thread that has ended takes its part with it."""
    seconds = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # the thread has just ended
            name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
            if name in COMPILERS:
                user, system = rest.split()[11:13]
                seconds += (int(user) + int(system)) / TICKS
    return seconds


def jvm_of(pid: int) -> int:
    """The JVM that the process ``pid`` has started."""
    return next(child.pid for child in psutil.Process(pid).children(recursive=True) if child.name() == "java")


def _seconds(pids: tuple[int, ...]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(of_one.user + of_one.system for of_one in times))
