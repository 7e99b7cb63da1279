"""A PostgreSQL server of a test's own: on loopback, with a password, gone afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PASSWORD = "a-secret-of-the-test"  # noqa: S105 - of this server alone
PATIENCE_SECONDS = 30


@contextmanager
def postgres() -> Iterator[str]:
    """A server; gives the URL of its database, which has no password in it. Skips where PostgreSQL is not installed."""
    programs = {name: _program(name) for name in ("initdb", "postgres")}
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            if user:
                shutil.chown(path, user, user)
        words = [programs["initdb"], "-D", folder / "data", "-U", "tester", "--auth=scram-sha-256", "-E", "UTF8", "--no-sync"]
        made = [*words, f"--pwfile={folder / 'password'}"]
        subprocess.run(made, check=True, capture_output=True, user=user, cwd=folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "fsync=off"]
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen(
                [programs["postgres"], "-D", folder / "data", *options], stdout=log, stderr=log, user=user, cwd=folder
            )
        try:
            _wait(server, port, folder / "log")
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str:
    places = [shutil.which(name), *map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))]
    found = next((place for place in places if place), None)
    if found is None:
        pytest.skip("PostgreSQL is not installed ('apt-get install postgresql'): reading its tables is not tested")
    return found


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if b"ready to accept connections" in log.read_bytes():
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start on port {port}: {log.read_text()}")
