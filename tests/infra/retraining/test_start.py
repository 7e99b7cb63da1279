"""What a monitor starts is a process that leaves the machine to those who serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import os
import sys
from pathlib import Path

from infra.retraining import start
from infra.settings import Settings

where, less = Path(sys.argv[1]), int(sys.argv[2])
own = os.nice(less)
start.PROGRAM = (sys.executable, "-c", "input()")
settings = Settings.model_validate({"train": {"s": {"label": "a.b", "retrain": {"when": ["schedule"]}}}})
child = start.retraining_of("s", where, settings, None)._start()
print(own, os.getpriority(os.PRIO_PROCESS, child.pid))
child.wait()
"""


@pytest.mark.parametrize("less", [0, 15])
def test_it_has_no_more_of_a_core_than_its_monitor(tmp_path: Path, less: int) -> None:
    """Less, where the monitor has all; one that has little itself may give no more, and the look is started nevertheless."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(less)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    own, of_child = map(int, done.stdout.split())
    assert of_child == max(10, own)
