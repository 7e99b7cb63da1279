"""How the stream job sees that Flink's job runs, fails or is gone: with a REST API that says what a test wants."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from features.errors import StackError
from features.job import job_plan
from features.outcomes import TEXT, AnyJob, OutcomesPlan
from features.plan import Column, Plan, Source
from jobs.stream.files import alone, newest_checkpoint
from jobs.stream.watch import Watch, innermost_cause

REFUSED = """org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
\tat org.apache.flink.runtime.executiongraph.failover.ExecutionFailureHandler.handleFailure(ExecutionFailureHandler.java:219)
Caused by: org.apache.flink.runtime.execution.SuppressRestartsException: Unrecoverable failure.
\tat headrace.state.StateFormat.refusal(StateFormat.java:26)
\t... 12 more
Caused by: java.lang.IllegalStateException: this job needs state of format 5, and the checkpoint is of format 4
\t... 13 more
"""


@contextmanager
def flink(replies: dict[str, Any]) -> Iterator[str]:
    """``host:port`` of a REST API with these replies, by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(replies[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Not on the test's stderr."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def replies(status: str, *stacktraces: str) -> dict[str, Any]:
    """Of a job whose tasks have this status, which failed for these reasons, the newest first."""
    entries = [{"timestamp": len(stacktraces) - place, "stacktrace": text} for place, text in enumerate(stacktraces)]
    return {
        "/jobs/1": {"state": status, "vertices": [{"status": status}]},
        "/jobs/1/exceptions": {"exceptionHistory": {"entries": entries}},
        "/jobs/1/checkpoints": {"counts": {"completed": 0}},
    }


@pytest.mark.slow
def test_a_job_whose_tasks_run_has_started() -> None:
    """And it has not ended."""
    with flink(replies("RUNNING")) as rest:
        watch = Watch(rest, "1", lambda: False)
        assert watch.until_running(threading.Event())
        assert not watch.ended


@pytest.mark.slow
@pytest.mark.parametrize("first", ["INITIALIZING", "CREATED"])
def test_a_job_may_take_its_time_to_read_its_state(first: str) -> None:
    """A checkpoint is as large as it is; a job whose tasks do not come to be has not started."""
    said = replies(first)
    with flink(said) as rest:
        watch = Watch(rest, "1", lambda: False)
        threading.Timer(1.0, said.update, [replies("RUNNING")]).start()
        if first == "INITIALIZING":
            assert watch.until_running(threading.Event(), seconds=0.1)
        else:
            with pytest.raises(StackError, match="the Flink job did not start: CREATED: no exception is known"):
                watch.until_running(threading.Event(), seconds=0.1)


def test_a_job_that_ended_first_never_ran() -> None:
    """A job in this process has taken its API with it: that is no error of the API."""
    watch = Watch("127.0.0.1:1", "1", lambda: True)
    assert not watch.until_running(threading.Event())
    assert watch.ended


@pytest.mark.slow
@pytest.mark.parametrize("status", ["CREATED", "RUNNING"])
def test_what_kafka_refuses_is_not_tried_again(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right or a login that is missing at the start or later ends the job, in one line with the topic."""
    monkeypatch.setattr("jobs.stream.watch.WATCH_SECONDS", 0)
    denied = "java.io.IOException: x\nCaused by: a.TopicAuthorizationException: Not authorized to access topics: [orders]\n"
    with flink(replies(status, denied)) as rest:
        watch = Watch(rest, "1", lambda: False)
        with pytest.raises(StackError, match=r"cannot work with Kafka: a\.TopicAuthorizationException: .*\[orders\]; see"):
            (watch.until_running if status == "CREATED" else watch.until_end)(threading.Event())


@pytest.mark.slow
def test_a_job_that_fails_at_its_start_says_why_in_one_line() -> None:
    """The innermost cause, and nothing of the stack trace."""
    with flink(replies("FAILED", REFUSED)) as rest:
        watch = Watch(rest, "1", lambda: False)
        with pytest.raises(StackError, match="this job needs state of format 5, and the checkpoint is of format 4") as failed:
            watch.until_running(threading.Event())
    assert "\n" not in str(failed.value)
    assert watch.ended


@pytest.mark.slow
def test_a_job_that_fails_ten_times_in_a_row_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkpoint in between it will not recover by itself."""
    monkeypatch.setattr("jobs.stream.watch.WATCH_SECONDS", 0)
    with flink(replies("RUNNING", *["java.io.IOException: no space is left"] * 10)) as rest:
        watch = Watch(rest, "1", lambda: False)
        with pytest.raises(StackError, match=r"failed 10 times in a row: java\.io\.IOException: no space is left; see"):
            watch.until_end(threading.Event())
    assert watch.restarts == 10


@pytest.mark.slow
def test_an_api_that_does_not_reply_is_an_error_while_the_job_runs() -> None:
    """The JVM may have been killed."""
    watch = Watch("127.0.0.1:1", "1", lambda: False)
    with pytest.raises(StackError, match="the JVM may have been killed"):
        watch.until_running(threading.Event())


@pytest.mark.parametrize(
    ("stacktrace", "cause"),
    [
        (REFUSED, "java.lang.IllegalStateException: this job needs state of format 5, and the checkpoint is of format 4"),
        ("java.lang.NullPointerException\n\tat a.b(c)", "java.lang.NullPointerException"),
        ("", "it gave no reason"),
    ],
)
def test_the_innermost_cause_of_a_stack_trace_is_one_line(stacktrace: str, cause: str) -> None:
    """Of a chain the last, of one exception its first line."""
    assert innermost_cause(stacktrace) == cause


def test_the_newest_checkpoint_is_the_one_completed_last(tmp_path: Path) -> None:
    """One without ``_metadata`` is not complete; the numbers start again with each start of the job."""
    assert newest_checkpoint(tmp_path) is None
    for name in ("b/chk-9", "a/chk-2"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "_metadata").touch()
    (tmp_path / "c" / "chk-10").mkdir(parents=True)
    assert newest_checkpoint(tmp_path) == tmp_path / "a" / "chk-2"


def source(name: str) -> Source:
    """With an id and a time."""
    return Source(name, name, (Column("id", TEXT), Column("at", TEXT)), "at", "id", "", 0)


def stream_of(lateness_ms: int) -> AnyJob:
    """The stream job of a service."""
    return job_plan([Plan("s", "events", (source("events"),), (), (), (), (), "arrival", lateness_ms)])


def outcomes_of(horizon_ms: int) -> AnyJob:
    """The job of its outcomes."""
    return OutcomesPlan("s", source("_predictions"), source("_labels"), "bad", horizon_ms, False)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (
            stream_of(0),
            stream_of(0),
            "one stream job of a plan at a time; .*: 'headrace down' stops a stack's, Ctrl-C one started by hand",
        ),
        (
            outcomes_of(1),
            outcomes_of(1),
            "one job of outcomes of a service at a time; .* with outcomes.run = false stops a stack's",
        ),
        (outcomes_of(1), outcomes_of(2), "one job of outcomes of a service at a time"),
    ],
)
def test_a_second_job_is_refused_and_told_how_to_stop_the_first(first: AnyJob, second: AnyJob, told: str, tmp_path: Path) -> None:
    """A job of outcomes by another horizon too: it would write to the same topic. Once the first has ended it may begin."""
    with alone(first, tmp_path), pytest.raises(StackError, match=told), alone(second, tmp_path):
        pass
    with alone(second, tmp_path):
        pass


def test_a_stream_job_may_run_beside_one_of_another_plan(tmp_path: Path) -> None:
    """Which it is to take over from."""
    with alone(stream_of(0), tmp_path), alone(stream_of(1), tmp_path):
        pass


def test_a_killed_job_holds_nothing(tmp_path: Path) -> None:
    """What it leaves is a file that nobody holds; so also where a child of its own, as its JVM, lives on."""
    program = (
        "import subprocess, sys, time; from filelock import FileLock; held = FileLock(sys.argv[1]).acquire(); "
        "print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    )
    job, lock = outcomes_of(1), tmp_path / "outcomes.s" / "lock"
    lock.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", program, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        left = psutil.Process(int(holder.stdout.readline()))
        try:
            with pytest.raises(StackError, match="another holds"), alone(job, tmp_path):
                pass
            holder.kill()
            holder.wait()
            with alone(job, tmp_path):
                assert left.is_running()
        finally:
            left.kill()
