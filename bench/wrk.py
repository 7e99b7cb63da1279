"""wrk, with a script in Lua that makes the requests.

A connection that waits between two requests waits a time drawn anew from an exponential distribution. Were it the same each time,
connections that began together would stay in step, and what is measured would be a burst of all of them.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

AROUND = """
function init(args) wait = tonumber(args[1]); first = tonumber(args[2] or 7); made = 0; math.randomseed(first) end
function delay() return math.floor(0.5 - wait * math.log(1 - math.random())) end
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


def wrk(
    script: str, address: str, connections: int, seconds: int, wait_ms: int, first: int = 7, *, prefix: Sequence[str] = ()
) -> Load:
    """Run ``script``, which makes the requests, from one thread.

    ``wait_ms`` is what a connection waits between two requests, at the mean; ``first`` begins random numbers. The script may use
    it, and ``made``, which is 0 at first.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script + AROUND)
        file.flush()
        command = [*prefix, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", file.name, address, "--"]
        said = subprocess.run([*command, str(wait_ms), str(first)], capture_output=True, text=True, check=True).stdout
    match = RESULT.search(said)
    assert match, said
    requests, took, p50, p99, failed, refused = map(int, match.groups())
    return Load(requests / took * 1e6, p50 / 1000, p99 / 1000, failed, refused)
