"""A job's SQL, handed to Flink with its configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from features.collector import collector_paused
from features.errors import StackError
from features.outcomes import AnyJob, OutcomesPlan
from features.sql.flink import Job, job_sql
from features.sql.flink.options import CLIENT
from features.sql.flink.outcomes import outcomes_sql
from jobs.stream import orphans
from jobs.stream.config import StreamConfig
from jobs.stream.files import held_folder
from jobs.stream.watch import POLL_SECONDS, innermost_cause

WARM_UP = "headrace.warm-up-ms"
"""The JVM's property that says how long a task warms up, as the operator's ``WarmUp`` has it."""

OWN_REQUESTS = "headrace.rest.own-requests"
"""What Flink's configuration has where its REST API is not for pages of other sites, as the operator's ``OwnRequests`` has it."""

ROCKSDB = {
    "state.backend.type": "rocksdb",
    "state.backend.rocksdb.timer-service.factory": "HEAP",  # one timer a key; in RocksDB each is an iterator
    # Much is read that is no longer there, and most files are merged before they are old.
    "state.backend.rocksdb.use-bloom-filter": "true",
    "state.backend.rocksdb.compression.per.level": "NO_COMPRESSION",
}


class Places(NamedTuple):
    """Where one start of a job keeps what it has, and where it is reached."""

    rest: str
    """``host:port`` of Flink's REST API."""
    state: Path
    """The folder of its checkpoints."""
    restored: Path | None
    """The checkpoint that it goes on from."""
    rocksdb: Path | None
    """The folder of an embedded RocksDB's files."""


def submit(job: AnyJob, config: StreamConfig, places: Places, written: Mapping[str, str]) -> Any:
    """Start the job; gives PyFlink's ``JobClient``. ``written`` is what the job is told of each topic's dead letters."""
    warm_up_ms = 0 if places.restored else config.warm_up_ms  # events are waiting, and warm it up
    # Read when PyFlink starts its JVM.
    os.environ["JVM_ARGS"] = f"{jvm_options(config.jvm_options, config.sql.client)} -D{WARM_UP}={warm_up_ms}"
    configuration = _flink_configuration(job, config, places)
    told = {f"headrace.written.{topic}": records for topic, records in written.items()}
    told[orphans.MARK] = orphans.mark(held_folder(job, config.checkpoints))
    configuration["pipeline.global-job-parameters"] = ",".join(f"{name}:{value}" for name, value in told.items())
    sql = outcomes_sql(job, config.sql) if isinstance(job, OutcomesPlan) else job_sql(job, config.sql)
    return execute(sql, configuration, config.logs)


def execute(sql: Job, configuration: Mapping[str, str], logs: Path | None) -> Any:
    """Hand a job to Flink; gives PyFlink's ``JobClient``. ``logs`` is the folder of the log of the JVM here."""
    from pyflink.common import Configuration
    from pyflink.table import EnvironmentSettings, TableEnvironment

    if logs:
        logs.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("FLINK_LOG_DIR", str(logs.resolve()))  # read when PyFlink starts its JVM
    # No function of ours is Python: without this PyFlink 2.3 starts a server for them here, and imports Apache Beam and pandas.
    os.environ["_python_worker_execution_mode"] = "process"  # noqa: SIM112 - the name is PyFlink's
    settings = Configuration()
    for key, value in configuration.items():
        settings.set_string(key, value)
    # A collector that let go of an object in the JVM would do so over the connection of the thread that submits (py4j 0.10),
    # whose next call then reaches another thread of the JVM; and Flink's planner keeps things by thread.
    with collector_paused():
        environment = TableEnvironment.create(
            EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(settings).build()
        )
        for statement in sql.setup:
            environment.execute_sql(statement)
        inserts = environment.create_statement_set()
        for statement in sql.inserts:
            inserts.add_insert_sql(statement)
        return inserts.execute().get_job_client()


@contextmanager
def java_errors(what: str, fix: str) -> Iterator[None]:
    """Within, what Java raises is a `StackError` of one line: ``what`` failed, the innermost cause, and the ``fix``."""
    from py4j.protocol import Py4JError
    from pyflink.util.exceptions import JavaException

    try:
        yield
    except (JavaException, Py4JError) as error:
        raise StackError(f"{what}: {innermost_cause(str(error))}; {fix}") from error


def jvm_options(options: str, client: Mapping[str, str]) -> str:
    """``options`` for a JVM whose Kafka clients have these properties: they get tokens only where the JVM says that they may."""
    url = client.get("sasl.oauthbearer.token.endpoint.url")
    return f"{options} -D{CLIENT}.sasl.oauthbearer.allowed.urls={url}" if url else options


def rest_options(rest: str) -> dict[str, str]:
    """Where Flink's REST API is, from ``host:port``.

    >>> rest_options("[::1]:8081")
    {'rest.address': '[::1]', 'rest.port': '8081'}
    """
    host, _, port = rest.rpartition(":")
    return {"rest.address": host, "rest.port": port}


def _flink_configuration(job: AnyJob, config: StreamConfig, places: Places) -> dict[str, str]:
    rest = rest_options(places.rest)
    configuration = {
        "pipeline.name": f"headrace.{job.name}",
        "pipeline.jars": ";".join(jar.resolve().as_uri() for jar in config.jars),
        "pipeline.object-reuse": "true",
        "pipeline.max-parallelism": "128",
        # In arrival mode the watermark only says which silent keys can be forgotten.
        "pipeline.auto-watermark-interval": "20 ms" if job.mode == "event_time" else "200 ms",
        "parallelism.default": str(config.parallelism),
        "execution.buffer-timeout.interval": f"{config.sql.batch_ms} ms",
        "execution.checkpointing.interval": f"{config.checkpoint_interval_ms} ms",
        # Without a folder, a checkpoint of more than 5 MB fails and the job restarts for ever.
        "execution.checkpointing.dir": _place(places.state),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": "2",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "500 ms",
        "restart-strategy.exponential-delay.max-backoff": "10 s",
        **rest,
        "rest.bind-address": rest["rest.address"],
        "jobmanager.bind-host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
    }
    if config.state_backend == "rocksdb":
        configuration |= ROCKSDB | {"execution.checkpointing.incremental": "true"}
    if config.cluster:
        configuration["execution.target"] = "remote"
    else:
        # Flink keeps what its REST API says of a job's tasks for so long: as often as the watch polls until they run.
        configuration["web.refresh-interval"] = f"{POLL_SECONDS * 1000:.0f} ms"
        # The API takes any job, and its default lets every page read what it says.
        configuration |= {
            OWN_REQUESTS: "true",
            "web.submit.enable": "false",
            "web.access-control-allow-origin": f"http://{places.rest}",
        }
    if places.rocksdb:
        configuration |= {
            "taskmanager.memory.managed.size": f"{config.rocksdb_memory_mb}m",  # of all slots; RocksDB alone takes it
            "state.backend.rocksdb.localdir": str(places.rocksdb),
        }
    if places.restored:
        configuration |= {
            "execution.state-recovery.path": _place(places.restored),
            "execution.state-recovery.claim-mode": "CLAIM",
        }
    return configuration


def _place(folder: Path) -> str:
    """A folder as Flink names it: its ``Path`` decodes nothing, so that ``%20`` would be another folder, where none is found."""
    return f"file://{folder.resolve()}"
