"""`POST /v1/predict` with ten times as many connections as it lets in: what those have that are let in, and what memory does.

    python -m bench overload

The service is pinned to one core, wrk to another, over SQLite. wrk says nothing of single requests, but how many were refused,
and what any share of all responses took at most. The slowest hundredth of the requests that were let in is at least as slow as
as many of the slowest of all, so what all but these took is no less than the p99 of those that were let in.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from bench.common import row
from bench.report import table
from bench.serve import CLIENT, SCRIPT, load_of, make_project, serving, store_of
from infra.http_settings import HttpSettings

FLAT_OUT = 32
"""Connections."""
TIMES, ROUNDS, SECONDS, WARM_SECONDS = 10, 4, 6, 2
DONE = """
function done(summary, latency, requests)
  local errors = summary.errors
  local let_in = summary.requests - errors.status
  local place = let_in > 0 and 100 * (1 - 0.01 * let_in / summary.requests) or 0
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(place)))
end
"""
RESULT = re.compile(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)")


class Over(NamedTuple):
    """What wrk says of one round."""

    responses: float
    """A second."""
    let_in: float
    """A second."""
    failed: int
    """Without any response."""
    p99_ms: float
    """Of those that were let in, at most."""


def rows() -> list[dict[str, Any]]:
    """Flat out, overload in rounds, and flat out again."""
    most = HttpSettings().max_concurrency
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "SQLite"
        with store_of("SQLite", project):
            make_project(project)
            with serving(project, 10) as (port, process):
                load_of(port, connections=FLAT_OUT, wait_ms=0, seconds=WARM_SECONDS)
                flat = load_of(port, connections=FLAT_OUT, wait_ms=0, seconds=SECONDS)
                rounds, memory = [], []
                for _ in range(ROUNDS):
                    rounds.append(_overload(port, TIMES * most))
                    memory.append(process.memory_info().rss / 2**20)
                after = load_of(port, connections=FLAT_OUT, wait_ms=0, seconds=SECONDS)
    worst = max(rounds, key=lambda one: one.p99_ms)
    name = f"overload, {TIMES * most} connections of which {most} are let in"
    return [
        row(f"flat out, {FLAT_OUT} connections", round(flat.rate), "requests/s"),
        row(f"flat out, {FLAT_OUT} connections: p99", round(flat.p99, 1), "ms", better="lower"),
        row(f"{name}: responses", round(sum(one.responses for one in rounds) / ROUNDS), "1/s"),
        row("overload: let in", round(sum(one.let_in for one in rounds) / ROUNDS), "requests/s"),
        row("overload: p99 of those, at most", round(worst.p99_ms), "ms", goal=HttpSettings().deadline_ms, better="lower"),
        row("overload: without a response", sum(one.failed for one in rounds), "requests", better="lower"),
        row("overload: memory after the first round", round(memory[0]), "MB", better="lower"),
        row("overload: memory more after the last than after the first", round(memory[-1] - memory[0], 1), "MB", better="lower"),
        row("flat out again, after it", round(after.rate), "requests/s"),
    ]


def _overload(port: int, connections: int) -> Over:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(SCRIPT + DONE)
        file.flush()
        command = [
            "taskset",
            "-c",
            CLIENT,
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{SECONDS}s",
            "--timeout",
            "10s",
            "-s",
            file.name,
        ]
        said = subprocess.run(
            [*command, f"http://127.0.0.1:{port}", "--", "0"], capture_output=True, text=True, check=True
        ).stdout
    match = RESULT.search(said)
    assert match, said
    responses, took, refused, failed, p99 = map(int, match.groups())
    return Over(responses / took * 1e6, (responses - refused) / took * 1e6, failed, p99 / 1000)


if __name__ == "__main__":
    Console().print(table(rows()))
