"""An MLflow server of the test's own, from the environment that `make test` makes for it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVER = ROOT / ".venv-mlflow" / "bin" / "mlflow"
MISSING = "no MLflow server: make .venv-mlflow/.stamp installs one, and this test is skipped without it"


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Its address; the registry and the artifacts lie in ``folder``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    kept = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "artifacts")]
    with (folder / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(
            [SERVER, "server", *address, *kept],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # its workers start slowly, and run nothing here
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
        )
    try:
        _wait(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while server.poll() is None:
        with suppress(OSError), closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        assert time.monotonic() < deadline, "the MLflow server did not start in time"
        time.sleep(0.2)
    raise AssertionError(f"the MLflow server ended with {server.returncode}")
