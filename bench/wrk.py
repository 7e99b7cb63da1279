"""wrk, with a script in Lua that makes the requests."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

DONE = """
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
"""
RESULT = re.compile(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)")


class Load(NamedTuple):
    """What wrk says of one run; times in ms."""

    rate: float
    p50: float
    p99: float
    failed: int
    """Without any response."""
    refused: int


def wrk(script: str, address: str, connections: int, seconds: int, *arguments: int, prefix: Sequence[str] = ()) -> Load:
    """Run ``script``, which has no ``done`` of its own, from one thread; its ``init`` gets the arguments."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script + DONE)
        file.flush()
        command = [*prefix, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", file.name, address, "--"]
        said = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=True).stdout
    match = RESULT.search(said)
    assert match, said
    requests, took, p50, p99, failed, refused = map(int, match.groups())
    return Load(requests / took * 1e6, p50 / 1000, p99 / 1000, failed, refused)
