"""What a start of the stream job costs its process."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.stack

PROGRAM = """
import sys

from features.sql.flink import Job
from jobs.stream.submit import execute

SETUP = (
    "CREATE TEMPORARY TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '1')",
    "CREATE TEMPORARY TABLE nothing (n BIGINT) WITH ('connector' = 'blackhole')",
)
job = execute(Job(SETUP, ("INSERT INTO nothing SELECT n FROM numbers",)), {}, None)
job.get_job_execution_result().result()
sys.exit("apache_beam is imported" if "apache_beam" in sys.modules else 0)
"""


def test_the_process_of_a_job_imports_no_apache_beam() -> None:
    """PyFlink does, for functions in Python, as a local job gets its table environment: seconds and memory for nothing."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
