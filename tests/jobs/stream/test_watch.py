"""How the stream job sees that Flink's job runs, fails or is gone: with a REST API that says what a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from features.errors import StackError
from jobs.stream.files import newest_checkpoint
from jobs.stream.watch import Watch, innermost_cause

pytestmark = pytest.mark.core

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


def test_a_job_whose_tasks_run_has_started() -> None:
    """And it has not ended."""
    with flink(replies("RUNNING")) as rest:
        watch = Watch(rest, "1", lambda: False)
        assert watch.until_running(threading.Event())
        assert not watch.ended


def test_a_job_that_ended_first_never_ran() -> None:
    """A job in this process has taken its API with it: that is no error of the API."""
    watch = Watch("127.0.0.1:1", "1", lambda: True)
    assert not watch.until_running(threading.Event())
    assert watch.ended


@pytest.mark.parametrize("status", ["CREATED", "RUNNING"])
def test_what_kafka_refuses_is_not_tried_again(status: str) -> None:
    """A right or a login that is missing at the start or later ends the job, in one line with the topic."""
    denied = "java.io.IOException: x\nCaused by: a.TopicAuthorizationException: Not authorized to access topics: [orders]\n"
    with flink(replies(status, denied)) as rest:
        watch = Watch(rest, "1", lambda: False)
        with pytest.raises(StackError, match=r"cannot work with Kafka: a\.TopicAuthorizationException: .*\[orders\]; see"):
            (watch.until_running if status == "CREATED" else watch.until_end)(threading.Event())


def test_a_job_that_fails_at_its_start_says_why_in_one_line() -> None:
    """The innermost cause, and nothing of the stack trace."""
    with flink(replies("FAILED", REFUSED)) as rest:
        watch = Watch(rest, "1", lambda: False)
        with pytest.raises(StackError, match="this job needs state of format 5, and the checkpoint is of format 4") as failed:
            watch.until_running(threading.Event())
    assert "\n" not in str(failed.value)
    assert watch.ended


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
