"""A stream job on a cluster whose process was killed: nobody has cancelled it."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.service import Service
from infra.local.broker import Broker
from jobs.stream import orphans
from tests.jobs.stream.test_topics import T, send
from tests.support.flink import Cluster
from tests.support.streams import await_vectors, embedded, own_topics, submitted, vectors
from tests.support.waits import wait_until

pytestmark = pytest.mark.stack


def running(cluster: Cluster, name: str) -> list[str]:
    """The ids of the jobs with this name that have not ended."""
    return [job["jid"] for job in cluster.get("jobs/overview")["jobs"] if job["name"] == name and job["end-time"] == -1]


def test_the_next_start_ends_a_job_whose_process_was_killed(
    broker: Broker, cluster: Cluster, small: Service, tmp_path: Path
) -> None:
    """One job reads the topics then, and an event has one vector; a job of another folder is left alone."""
    plan = own_topics(broker, small.plan)
    name, options = f"headrace.{plan.service}", {"bounded": False, "checkpoint_interval_ms": 200}
    send(broker, plan, [(0, 0, T)])
    with embedded(broker, plan, tmp_path / "state", cluster=cluster.rest, **options):
        await_vectors(broker, plan, 1, seconds=120)  # a JVM starts first
    (orphan,) = running(cluster, name)
    orphans.end(cluster.rest, tmp_path / "another")
    assert running(cluster, name) == [orphan]
    with submitted(broker, cluster, plan, tmp_path / "state", **options):
        wait_until(lambda: running(cluster, name) not in ([], [orphan]))
        send(broker, plan, [(0, 1, T + 1)])
        await_vectors(broker, plan, 2, seconds=60)
        (job,) = running(cluster, name)
        assert job != orphan
    assert [vector.event_id for vector in vectors(broker, plan)].count(1) == 1
