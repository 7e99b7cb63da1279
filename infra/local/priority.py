"""A process that can wait gives way to those that can't."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

NICE = 10
"""So much less than what serves is a process given of a core that both want: a tenth (`sched(7)`)."""
AUTOGROUP = Path("/proc/self/autogroup")


def give_way() -> None:
    """Take a core only where nothing that serves wants it; a process that is nicer already stays so.

    Linux weighs the sessions of processes against each other where it groups them so (`sched(7)`, "The autogroup feature"), and
    `up` starts each process in one of its own: there the session's weight is what counts. A session that began elsewhere, a
    shell's, is left as it is.
    """
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # no Linux, no such groups, or a container that does not let write there: the priority is left
            AUTOGROUP.write_text(str(NICE))
