"""The stream job: the plan of a job as a PyFlink job, in this process or on a running cluster, watched until it ends."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict

from features.errors import StackError
from features.job import JobPlan
from features.sql.flink import JobOptions, job_sql

log = structlog.get_logger()

JVM = "-XX:+UseParallelGC"
"""Of an embedded Flink: a fifth more events a second than with G1, half as many again in event-time mode (2 cores)."""
POLL_SECONDS = 0.25
WATCH_SECONDS = 2.0
"""Between two looks at the restarts of a job that runs: Flink answers each from the cores that the events need."""
CACHE_BYTES = 64 * 1024 * 1024
"""What a stage on RocksDB keeps of its state decoded, in memory; state on the heap is there as it is."""
STATE_FORMAT = 4
"""Of the operator's state: a checkpoint of another format would be restored as empty windows, without a word."""
RESTARTS_IN_A_ROW = 10
"""A job that fails this often without a checkpoint in between will not mend itself."""


class StreamConfig(BaseModel):
    """Where the job runs and reads, and what it may cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap: str
    jars: tuple[Path, ...]
    """The operator's and the Kafka connector's."""
    checkpoints: Path
    """A folder; the job's own state is below it, by its name, its plan's digest, the state backend and its `STATE_FORMAT`."""
    parallelism: int = 1
    checkpoint_interval_ms: int = 10_000
    state_backend: Literal["heap", "rocksdb"] = "heap"
    """Where the windows' rows are: in the JVM's memory, or on disk, in RocksDB. Neither restores from the other's checkpoints."""
    rocksdb_memory_mb: int = 256
    """What RocksDB may hold in memory, of an embedded Flink; a cluster has managed memory of its own."""
    cluster: str | None = None
    """``host:port`` of a running Flink cluster; None: in this process."""
    max_ahead_ms: int = 3_600_000
    answer_from_ms: int | None = None
    batch_ms: int = 0
    """How long a record may wait for others before it goes on, to the next task or to Kafka; 0: not at all."""
    idle_timeout_ms: int = 10_000
    drift_ms: int = 86_400_000
    bounded: bool = False
    ready_file: Path | None = None
    logs: Path | None = None
    """Folder of an embedded Flink's own log."""


def run(job: JobPlan, config: StreamConfig, stop: threading.Event | None = None) -> None:
    """Run ``job`` until it ends, ``stop`` is set, or SIGTERM or SIGINT comes.

    Starts from the newest checkpoint of the same job, if there is one. Raises `StackError` when the job fails for good.
    """
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    state = config.checkpoints / job.name / job.short_digest / f"{config.state_backend}-{STATE_FORMAT}"
    restored = newest_checkpoint(state)
    rest = config.cluster or f"127.0.0.1:{_free_port()}"
    services = ",".join(job.services)
    log.info("stream.start", services=services, job=job.short_digest, restored=str(restored or ""), rest=rest)
    with _rocksdb_files(job, config) as files:
        client = _submit(job, config, state, restored, rest, files)
        result = client.get_job_execution_result()
        watch = Watch(rest, str(client.get_job_id()), lambda: _is_done(result))
        try:
            watch.until_running(stop)
            if config.ready_file and not stop.is_set():
                config.ready_file.write_text(json.dumps({"rest": f"http://{rest}", "job": watch.id}))
            log.info("stream.running", services=services, job=watch.id)
            watch.until_end(stop)
        finally:
            if config.cluster:
                watch.cancel()
            elif not watch.ended:
                _cancel(client)
    if watch.ended:
        _raise_failure(result)
    log.info("stream.stop", services=services, restarts=watch.restarts)


def _is_done(result: Any) -> bool:
    """Whether the job has come to its end, as far as the JVM here can still tell."""
    try:
        return bool(result.done())
    except _jvm_errors():
        return False


def _cancel(client: Any) -> None:
    """End a job in this process; a signal to the whole process group may have ended its JVM, and the job with it."""
    with suppress(*_jvm_errors()):
        client.cancel().result()


def _jvm_errors() -> tuple[type[Exception], ...]:
    """What a call of a JVM that is gone raises."""
    from py4j.protocol import Py4JError

    return Py4JError, OSError


def _raise_failure(result: Any) -> None:
    try:
        result.result()
    except Exception as e:  # py4j's, of any Java exception
        raise StackError(f"the Flink job failed: {str(e).strip().splitlines()[0]}; see the job's log") from e


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest completed checkpoint below ``folder``: the one whose ``_metadata`` was written last."""
    done = sorted(folder.glob("*/chk-*/_metadata"), key=lambda p: p.stat().st_mtime)
    return done[-1].parent if done else None


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def _rocksdb_files(job: JobPlan, config: StreamConfig) -> Iterator[Path | None]:
    """The folder for the files of an embedded RocksDB, emptied of a run that was killed; else None.

    Under a short path, whatever the project's is: RocksDB makes one file name of it, with 170 characters of Flink's behind. It is
    a link, as the system's folder for temporary files may be memory.
    """
    folder = config.checkpoints / job.name / "rocksdb"
    shutil.rmtree(folder, ignore_errors=True)
    if config.cluster or config.state_backend != "rocksdb":
        yield None
        return
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="headrace-") as short:
        link = Path(short) / "rocksdb"
        link.symlink_to(folder.resolve(), target_is_directory=True)
        yield link


def _submit(job: JobPlan, config: StreamConfig, state: Path, restored: Path | None, rest: str, rocksdb_files: Path | None) -> Any:
    os.environ.setdefault("JVM_ARGS", JVM)
    if config.logs:
        config.logs.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("FLINK_LOG_DIR", str(config.logs.resolve()))
    from pyflink.common import Configuration
    from pyflink.table import EnvironmentSettings, TableEnvironment

    settings = Configuration()
    for key, value in _flink_settings(job, config, state, restored, rest, rocksdb_files).items():
        settings.set_string(key, value)
    environment = TableEnvironment.create(
        EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(settings).build()
    )
    sql = job_sql(
        job,
        JobOptions(
            bootstrap=config.bootstrap,
            max_ahead_ms=config.max_ahead_ms,
            vectors_from_ms=config.answer_from_ms,
            idle_timeout_ms=config.idle_timeout_ms,
            drift_ms=config.drift_ms,
            batch_ms=config.batch_ms,
            bounded=config.bounded,
            cache_bytes=CACHE_BYTES if config.state_backend == "rocksdb" else 0,
        ),
    )
    for statement in sql.setup:
        environment.execute_sql(statement)
    inserts = environment.create_statement_set()
    for statement in sql.inserts:
        inserts.add_insert_sql(statement)
    return inserts.execute().get_job_client()


def _flink_settings(
    job: JobPlan, config: StreamConfig, state: Path, restored: Path | None, rest: str, rocksdb_files: Path | None
) -> dict[str, str]:
    host, _, port = rest.partition(":")
    settings = {
        "pipeline.name": f"headrace.{job.name}",
        "pipeline.jars": ";".join(p.resolve().as_uri() for p in config.jars),
        "pipeline.object-reuse": "true",
        "pipeline.max-parallelism": "128",
        # In arrival mode the watermark only says which silent keys can be forgotten.
        "pipeline.auto-watermark-interval": "20 ms" if job.mode == "event_time" else "200 ms",
        "parallelism.default": str(config.parallelism),
        "execution.buffer-timeout.interval": f"{config.batch_ms} ms",
        "execution.checkpointing.interval": f"{config.checkpoint_interval_ms} ms",
        # Without a folder, a checkpoint of more than 5 MB fails and the job restarts for ever.
        "execution.checkpointing.dir": state.resolve().as_uri(),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": "2",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "500 ms",
        "restart-strategy.exponential-delay.max-backoff": "10 s",
        "rest.address": host,
        "rest.port": port,
        "rest.bind-address": host,
        "jobmanager.bind-host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
    }
    if config.state_backend == "rocksdb":
        settings["state.backend.type"] = "rocksdb"
        settings["execution.checkpointing.incremental"] = "true"
        settings["state.backend.rocksdb.timer-service.factory"] = "HEAP"  # one timer a key; in RocksDB each is an iterator
        # Much is read that is no longer there, and most files are merged before they are old.
        settings["state.backend.rocksdb.use-bloom-filter"] = "true"
        settings["state.backend.rocksdb.compression.per.level"] = "NO_COMPRESSION"
    if config.cluster:
        settings["execution.target"] = "remote"
    if rocksdb_files:
        settings["taskmanager.memory.managed.size"] = f"{config.rocksdb_memory_mb}m"  # of all slots; RocksDB alone asks for it
        settings["state.backend.rocksdb.localdir"] = str(rocksdb_files)
    if restored:
        settings["execution.state-recovery.path"] = restored.resolve().as_uri()
        settings["execution.state-recovery.claim-mode"] = "CLAIM"
    return settings


class Watch:
    """A running job, seen through Flink's REST API.

    ``done`` says whether the job has come to an end: a job in this process takes the API with it.
    """

    def __init__(self, rest: str, job: str, done: Callable[[], bool]) -> None:
        self.id = job
        self.restarts = 0
        self.ended = False
        self._url = f"http://{rest}/jobs/{job}"
        self._done = done
        self._failures = 0
        self._checkpoints = 0
        self._newest = 0

    def until_running(self, stop: threading.Event, seconds: float = 120) -> None:
        """Return when every task runs; raise `StackError` when it doesn't come to that."""
        deadline = time.monotonic() + seconds
        while not self._done() and not stop.wait(POLL_SECONDS):
            with self._unless_it_ended():
                job = _get_json(self._url)
                if all(v["status"] in {"RUNNING", "FINISHED"} for v in job["vertices"]):
                    return
                if job["state"] in {"FAILED", "CANCELED"} or time.monotonic() > deadline:
                    cause = _cause(self._exceptions())
                    raise StackError(f"the Flink job did not start: {job['state']}: {cause}; see the job's log")

    def until_end(self, stop: threading.Event) -> None:
        """Return when the job ends or ``stop`` is set; log each restart; raise `StackError` when it fails for good."""
        looked = time.monotonic()
        while not self._done() and not stop.wait(POLL_SECONDS):
            if time.monotonic() < looked + WATCH_SECONDS:
                continue
            looked = time.monotonic()
            with self._unless_it_ended():
                self._count_restarts()
            if self._failures >= RESTARTS_IN_A_ROW:
                cause = _cause(self._exceptions())
                raise StackError(f"the Flink job failed {self._failures} times in a row: {cause}; see the job's log")
        self.ended = self._done()

    @contextmanager
    def _unless_it_ended(self, seconds: float = 5) -> Iterator[None]:
        """An API that does not answer is no error where the job has come to its end, or soon does."""
        try:
            yield
        except StackError:
            deadline = time.monotonic() + seconds
            while not self._done():
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def cancel(self) -> None:
        """End the job on its cluster; one that has ended stays as it is."""
        if not self.ended:
            request = urllib.request.Request(f"{self._url}?mode=cancel", method="PATCH")  # noqa: S310
            with self._unless_it_ended(), urllib.request.urlopen(request, timeout=10):  # noqa: S310
                log.info("stream.cancelled", job=self.id)

    def _count_restarts(self) -> None:
        """From what Flink has at hand: to ask for metrics makes it collect all of them, which events wait for."""
        exceptions = self._exceptions()
        restarts = [e for e in exceptions if e["timestamp"] > self._newest]
        checkpoints = int(_get_json(f"{self._url}/checkpoints")["counts"]["completed"])
        if checkpoints > self._checkpoints:
            self._checkpoints, self._failures = checkpoints, 0
        if restarts:
            self._newest = max(e["timestamp"] for e in restarts)
            self._failures += len(restarts)
            self.restarts += len(restarts)
            log.warning("stream.restart", restarts=self.restarts, cause=_cause(exceptions))

    def _exceptions(self) -> list[Any]:
        """What Flink restarted the job for, the newest first; at most the last sixteen."""
        entries: list[Any] = _get_json(f"{self._url}/exceptions").get("exceptionHistory", {}).get("entries", [])
        return entries


def _cause(exceptions: list[Any]) -> str:
    """The first line of the newest failure's innermost cause."""
    if not exceptions:
        return "no exception is known"
    lines = str(exceptions[0]["stacktrace"]).splitlines()
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return causes[-1] if causes else lines[0]


def _get_json(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http to the job's own address
            return json.load(answer)
    except (OSError, http.client.HTTPException) as e:  # an API that ends resets its connections
        raise StackError(
            f"Flink's REST API does not answer at {url}: {e}; the JVM may have been killed: see the job's log"
        ) from e
