"""The end-to-end run from one command: it ends by itself with a report that adds up, and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.support.data import fraud_project

pytestmark = pytest.mark.stack

RUN = """
[run]
service = "fraud"
train_from = 2018-05-05
train_days = 7
start = 2018-05-19
days = 2
rate = 600
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small fraud project whose end-to-end run publishes two days."""
    folder = fraud_project(tmp_path_factory.mktemp("run"), customers=600, terminals=1200, days=55)
    text = (folder / "headrace.toml").read_text()
    head, _, rest = text.partition("[run]")
    (folder / "headrace.toml").write_text(head + RUN + rest[rest.index("# What `headrace train`") :])
    return folder


def test_the_run_adds_up_and_ends_by_itself(project: Path) -> None:
    """Every event has a prediction, values equal the batch engine's but for late labels, and no process is left."""
    done = subprocess.run(_command(project, "--json"), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    seen = report["seen"]
    assert seen["published"] == seen["predictions"] > 1000
    assert (seen["dead_letters"], seen["incomplete"]) == (0, 0)
    assert {stage["name"]: stage["differing"] - stage["causes"]["late_row"] for stage in report["parity"]["stages"]} == {
        "transactions_by_customer_id": 0,
        "labels_by_terminal_id": 0,
    }
    assert (report["adds_up"], report["parity"]["unexplained"]) == (True, 0)
    customers = report["parity"]["stages"][0]
    assert (customers["values"], customers["differing"]) == (6 * seen["published"], 0)
    assert 0.5 < report["streamed"]["auc"] <= 1
    assert report["streamed"]["auc"] == pytest.approx(report["batch"]["auc"], abs=0.02)
    assert _left(project) == []


def test_ctrl_c_ends_all_that_was_started(project: Path) -> None:
    """With SIGTERM on top, while Kafka, the stream job and the scorer work: exit code 130, one line, and no process is left."""
    run = subprocess.Popen(
        _command(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # which is not ours to begin with under nohup
    )
    deadline = time.monotonic() + 120
    while not (project / ".headrace" / "run" / "ready" / "scorer-fraud").exists():
        assert run.poll() is None, "the run ended before it was interrupted"
        assert time.monotonic() < deadline, "no scorer was ready in 120 s"
        time.sleep(0.1)
    assert {"stream", "scorer", "kafka.Kafka"} <= {part for process in _left(project) for part in process.cmdline()}
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    time.sleep(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("interrupted: all that it started is stopped")
    assert _left(project) == []


def _command(project: Path, *options: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "infra.cli", "run", "--project", str(project), *options]


def _left(project: Path) -> list[psutil.Process]:
    """Processes that have the project's folder on their command line or work in it."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(project) in " ".join(process.cmdline()) and process.pid != psutil.Process().pid:
                found.append(process)
        except psutil.Error:
            continue
    return found
