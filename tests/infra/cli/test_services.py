"""The logs of the processes that a stack consists of."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW_STEP_AND_FAULT = """
import time
from kafka.net.selector import NetworkSelector
from infra.cli.services import log_plainly

async def slow(): time.sleep(0.15)
async def faulty(): raise ValueError("a fault")

log_plainly()
loop = NetworkSelector()
for task in (slow, faulty):
    loop.call_soon(task())
    loop.poll(timeout_ms=0)
"""


@pytest.mark.slow
def test_of_kafka_pythons_warnings_only_that_of_a_slow_step_is_left_out() -> None:
    """A busy machine makes any step slow."""
    found = subprocess.run([sys.executable, "-c", SLOW_STEP_AND_FAULT], capture_output=True, text=True, check=True)
    assert "a fault" in found.stderr
    assert "blocking the event loop" not in found.stderr
