"""Panels are read on threads of their own: two that use a type of msgspec 0.22 for the first time at once crash the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
PROGRAM = """
import sys
import threading

import serving.http.page.panels
from features.inputs import reference
from serving.http.page import audit, outcomes
from serving.models import log, manifest, registry
from serving.monitor import state

sys.setswitchinterval(1e-6)
decoders = (reference._reference, audit._report, outcomes._report, log._entry, manifest._manifest)
decoders = (*decoders, registry._report, registry._taken, state._state)
barrier = threading.Barrier(8)


def work():
    for decode in decoders:
        barrier.wait()
        try:
            decode(b"{}")
        except ValueError:
            pass


threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_many_threads_decode_the_same_for_the_first_time() -> None:
    """What panels decode is known to msgspec before there are threads; decoded by type, one process in six crashed."""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
