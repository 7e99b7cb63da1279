"""A stream job: its plan as a PyFlink job, in this process or on a running cluster, watched until it ends."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import msgspec
import structlog

from features.outcomes import AnyJob
from features.signals import stopped_by_signals
from features.sql.flink.options import History
from jobs.stream import orphans
from jobs.stream.backfill import await_seam, history_of
from jobs.stream.beside import as_recorded
from jobs.stream.config import StreamConfig
from jobs.stream.files import alone, checkpoint_folder, held_folder, newest_checkpoint, rocksdb_folder
from jobs.stream.metrics import metrics_of
from jobs.stream.submit import Places, java_errors, submit
from jobs.stream.topics import look
from jobs.stream.watch import Watch, ended
from jobs.stream.written import written

log = structlog.get_logger()


def run(job: AnyJob, config: StreamConfig, stop: threading.Event | None = None) -> None:
    """Run ``job`` until it ends, ``stop`` is set, or SIGTERM or SIGINT comes.

    Starts from the newest checkpoint of the same job, if there is one. Raises `StackError` where the job runs already, and when
    it fails for good: also where the checkpoint holds state of another format, which the operator refuses, or is of topics that
    are there no more.
    """
    stop = stop or threading.Event()
    with stopped_by_signals(stop), alone(job, config.checkpoints):
        if config.ready_file:
            config.ready_file.unlink(missing_ok=True)  # of an earlier start
        try:
            _run(job, config, stop)
        except Exception as error:
            if config.cluster or not stop.is_set():
                raise
            # A signal to the whole process group ends the JVM too, and so whatever was asked of it.
            log.info("stream.stop", services=",".join(job.services), after=type(error).__name__)


def _run(job: AnyJob, config: StreamConfig, stop: threading.Event) -> None:
    if config.cluster:
        orphans.end(config.cluster, held_folder(job, config.checkpoints))
    state = checkpoint_folder(job, config)
    config = as_recorded(config, state)
    restored = newest_checkpoint(state)
    rest = config.cluster or f"127.0.0.1:{_free_port()}"
    services = ",".join(job.services)
    log.info("stream.start", services=services, job=job.short_digest, restored=str(restored or ""), rest=rest)
    known = written(config.kafka, {source.topic for source in job.sources})
    history = history_of(state, is_restored=restored is not None)
    sources = look(job, config, state, is_restored=restored is not None, seam=history.seam if history else None)
    sql = msgspec.structs.replace(
        config.sql,
        whole_after_ms=sources.whole_after_ms,
        newest_ms=sources.newest_ms,
        history=history,
        vectors_from_ms=_vectors_from_ms(config, history),
    )
    config = msgspec.structs.replace(config, sql=sql)
    with rocksdb_folder(job, config) as rocksdb:
        with java_errors("Flink refused the job", "see the job's log"):
            client = submit(job, config, Places(rest, state, restored, rocksdb), known)
        result = client.get_job_execution_result()
        job_id = str(client.get_job_id())
        # On a cluster the API outlives the job. Calls of our JVM from here would send another thread's, which submits a job,
        # to another of its threads, and Flink's planner keeps things by thread.
        watch = Watch(rest, job_id, partial(ended, rest, job_id) if config.cluster else partial(_is_done, result))
        try:
            if watch.until_running(stop):
                log.info("stream.running", services=services, job=watch.id)
                with (
                    metrics_of(job, config, watch) as metrics,
                    _at_seam(history, watch.url, partial(_say_ready, config, rest, watch.id, metrics)) as seam,
                ):
                    watch.until_end(stop, seam)
        finally:
            if config.cluster:
                watch.cancel()
            elif not watch.ended:
                _cancel(client)
    if watch.ended:
        with java_errors("the Flink job failed", "see the job's log"):
            result.result()  # on a cluster the job may end before its client hears of it
    log.info("stream.stop", services=services, restarts=watch.restarts)


def _vectors_from_ms(config: StreamConfig, history: History | None) -> int | None:
    """The time from which events get vectors: of a backfilled job not before the seam, unless offsets say where it begins."""
    wanted = config.sql.vectors_from_ms
    if history is None or config.sql.vectors_from is not None:
        return wanted
    return max(history.seam.until_ms, wanted or 0)


def _say_ready(config: StreamConfig, rest: str, job: str, metrics: str | None) -> None:
    if config.ready_file:
        config.ready_file.parent.mkdir(parents=True, exist_ok=True)
        config.ready_file.write_text(json.dumps({"rest": f"http://{rest}", "job": job, "metrics": metrics}))


@contextmanager
def _at_seam(history: History | None, job: str, then: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Within, ``then`` is called once the job reads its topics: at once where it was not backfilled.

    Gives what raises where that failed: nobody would ever hear that the job is ready.
    """
    if history is None:
        then()
        yield lambda: None
        return
    is_over, failures = threading.Event(), list[Exception]()

    def wait() -> None:
        try:
            await_seam(history, job, is_over, then)
        except Exception as failure:  # raised again in the thread that watches the job
            failures.append(failure)

    def check() -> None:
        if failures:
            raise failures[0]

    thread = threading.Thread(target=wait, name="seam", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        is_over.set()
        thread.join()


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


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
