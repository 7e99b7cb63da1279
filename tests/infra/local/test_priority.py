"""What gives way takes a core only where nobody else wants it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os
import sys
from pathlib import Path

from infra.local.priority import AUTOGROUP, give_way

os.nice(int(sys.argv[1]))
give_way()
group = AUTOGROUP.read_text().split() if AUTOGROUP.exists() else []
print(os.getpriority(os.PRIO_PROCESS, 0), group[-1] if group else "none")
"""


def _after(less: int, *, own_session: bool) -> tuple[int, str]:
    """The priority of a process that gave way, and of its session: "none" where Linux groups no sessions, or not this one.

    What the machine's init started without a session of its own has an empty file there.
    """
    command = [sys.executable, "-c", PROGRAM, str(less)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=own_session)
    assert done.returncode == 0, done.stderr
    priority, of_session = done.stdout.split()
    return int(priority), of_session


@pytest.mark.parametrize(("less", "expected"), [(0, 10), (15, 15)])
def test_it_has_a_lower_priority_and_one_that_is_lower_already_keeps_it(less: int, expected: int) -> None:
    """Its own, wherever it began."""
    assert _after(less, own_session=False)[0] == expected


def test_a_session_of_its_own_gives_way_too() -> None:
    """As `up` starts processes; a session that began elsewhere, a terminal's, stays as it is."""
    of_own, of_another = _after(0, own_session=True)[1], _after(0, own_session=False)[1]
    assert of_own in {"10", "none"}
    assert of_another in {"0", "none"}
