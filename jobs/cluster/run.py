"""A job over files, on its cluster until it ends."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.request
from functools import partial

from features.errors import StackError
from features.sql.flink import Job
from jobs.cluster.config import ClusterConfig
from jobs.stream.submit import ROCKSDB, execute, java_errors, rest_options
from jobs.stream.watch import Watch, ended

ATTEMPTS = 6
"""How often a job begins again that has lost a machine, after 1, 2, 4, … seconds: Flink may take 50 s to see that one is gone."""


def require(cluster: str, parallelism: int) -> None:
    """Raise `StackError` where no Flink cluster replies at ``host:port``, or it has fewer slots."""
    url = f"http://{cluster}/overview"
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            slots = json.load(reply)["slots-total"]
    except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
        raise StackError(
            f"{url} did not reply as Flink does: {error}; start the cluster, or name another with --flink"
        ) from error
    if slots < parallelism:
        raise StackError(
            f"each task takes a slot of the Flink cluster; {cluster} has {slots} slots, and stream.parallelism is {parallelism}; "
            "start more TaskManagers, or set it lower"
        )


def run_to_end(name: str, sql: Job, config: ClusterConfig) -> None:
    """Return when the job has written all of its files. One that fails, or is interrupted here, is cancelled.

    Raises `StackError` where the cluster is not there, or refuses the job, and where the job fails.
    """
    with java_errors(f"Flink at {config.cluster} did not take the job", "see its log, and --flink"):
        client = execute(sql, _flink_configuration(name, config), config.logs)
    job = str(client.get_job_id())
    watch, stop = Watch(config.cluster, job, partial(ended, config.cluster, job)), threading.Event()
    try:
        if watch.until_running(stop):
            watch.until_end(stop)
    finally:
        watch.cancel()
    with java_errors("the Flink job failed", "see the cluster's logs"):
        client.get_job_execution_result().result()


def _flink_configuration(name: str, config: ClusterConfig) -> dict[str, str]:
    return {
        "pipeline.name": f"headrace.features.{name}",
        "pipeline.jars": ";".join(jar.resolve().as_uri() for jar in config.jars),
        "pipeline.object-reuse": "true",
        "pipeline.auto-watermark-interval": "20 ms",
        "parallelism.default": str(config.parallelism),
        "execution.buffer-timeout.interval": "100 ms",
        "execution.target": "remote",
        **rest_options(config.cluster),
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.backoff-multiplier": "2.0",
        "restart-strategy.exponential-delay.jitter-factor": "0.0",
        "restart-strategy.exponential-delay.attempts-before-reset-backoff": str(ATTEMPTS),
        **(ROCKSDB if config.state_backend == "rocksdb" else {"state.backend.type": "hashmap"}),
    }
