"""A job that Flink does not take ends with one line that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import StackError
from features.job import job_plan
from features.service import Service
from infra.local.broker import Broker
from tests.support.flink import Cluster
from tests.support.streams import own_topics, run_to_end

pytestmark = pytest.mark.stack


def test_a_checkpoint_that_cannot_be_read_is_named_in_one_line(
    broker: Broker, cluster: Cluster, small: Service, tmp_path: Path
) -> None:
    """The innermost cause of Flink's stack trace, not the job's start from nothing."""
    plan = own_topics(broker, small.plan)
    checkpoint = tmp_path / plan.service / job_plan([plan]).short_digest / "heap" / "some-job" / "chk-1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "_metadata").write_bytes(b"this is no checkpoint")
    with pytest.raises(StackError, match=r"Flink refused the job: .*magic number") as refused:
        run_to_end(broker, cluster, plan, tmp_path)
    assert "\n" not in str(refused.value)
