"""Who is let in and how much: tokens, lengths, requests at once; ids and metrics; and the end."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from features.errors import SettingError, StackError
from features.service import Service
from infra.cli.serve import tokens_of
from infra.config import http_config
from infra.http_settings import HttpSettings
from infra.settings import load_settings
from serving.http.predict import deliver
from serving.http.run import check, run
from serving.http.scoring import Job, Scored
from serving.http.tokens import Tokens, parse
from serving.models.registry import Registry
from tests.serving.http.support import INPUTS, Running, event, serving
from tests.support.certificates import sign
from tests.support.odd_models import register_odd, slow

pytestmark = pytest.mark.slow

POST = b"POST /v1/predict/fraud HTTP/1.1\r\nHost: localhost\r\n"

READ, PREDICT, BOTH = "r" * 16, "p" * 16, "b" * 16
TOKENS = f"{READ} read; {PREDICT} predict; {BOTH} read,predict"


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


def test_a_token_opens_what_its_scopes_say(fraud: Service, models: Path) -> None:
    """401 without one, 403 with another's scope; whether the process lives and is ready anybody may know."""
    with serving([fraud], models, parse(TOKENS, "tokens")) as running:
        body = {"rows": [{"event": event()}]}
        ways = {
            ("GET", "/metrics"): READ,
            ("GET", "/v1/models"): READ,
            ("GET", "/v2/models/fraud"): READ,
            ("POST", "/v2/repository/index"): READ,
            ("POST", "/v1/predict/fraud"): PREDICT,
            ("POST", "/v2/models/fraud/infer"): PREDICT,
        }
        for (method, path), token in ways.items():
            other = PREDICT if token == READ else READ
            none = running.request(method, path, body)
            assert (none.status, none.headers["www-authenticate"]) == (401, "Bearer")
            assert running.request(method, path, body, bearer("x" * 16)).status == 401
            assert running.request(method, path, body, {"Authorization": f"Basic {token}"}).status == 401
            assert running.request(method, path, body, bearer(other)).status == 403
            for right in (token, BOTH):
                assert running.request(method, path, body, bearer(right)).status not in (401, 403)
        for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
            assert running.request("GET", path).status == 200


@pytest.mark.parametrize("text", ["short predict", "0123456789abcdef", "0123456789abcdef admin", "0123456789abcdef read predict"])
def test_tokens_that_are_none_are_refused(text: str) -> None:
    """With the line and the rule, and never the token itself."""
    with pytest.raises(SettingError, match="TOKEN SCOPE") as caught:
        parse(text, "tokens")
    assert "0123456789abcdef" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104 - it is refused
def test_other_machines_need_tokens_and_tls(host: str, tmp_path: Path) -> None:
    """Either alone is refused before anything listens."""
    tls = {"tls_certificate_file": "cert.pem", "tls_key_file": "key.pem"}
    tokens = parse(TOKENS, "tokens")
    for given, settings in ((Tokens(), {}), (tokens, {}), (Tokens(), tls)):
        with pytest.raises(SettingError, match="needs tokens and TLS"):
            check(http_config(HttpSettings(host=host, **settings), tmp_path), given)
    check(http_config(HttpSettings(host=host, **tls), tmp_path), tokens)


def test_what_is_too_long_is_refused(fraud: Service, models: Path) -> None:
    """Too many bytes, said or sent in chunks, and too many rows; what is allowed goes on."""
    with serving([fraud], models, max_rows=3, max_body_bytes=2000) as running:
        long = b" " * 2001
        assert running.request("POST", "/v1/predict/fraud", raw=long).status == 413
        with socket.create_connection(("127.0.0.1", int(running.address.rpartition(":")[2])), 10) as connection:
            connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n7d1\r\n" + long)
            assert connection.recv(100).startswith(b"HTTP/1.1 413")
        with socket.create_connection(("127.0.0.1", int(running.address.rpartition(":")[2])), 10) as connection:
            connection.sendall(POST + b"Content-Length: 9999999999\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 413")  # at once
        assert running.predict(*[event()] * 4).status == 413
        assert running.predict(*[event()] * 3).status == 200


def test_a_body_that_does_not_come_holds_nobody_up(fraud: Service, models: Path) -> None:
    """408, and its place is free again."""
    with serving([fraud], models, deadline_ms=200, max_concurrency=1) as running:
        with socket.create_connection(("127.0.0.1", int(running.address.rpartition(":")[2])), 10) as connection:
            connection.sendall(POST + b"Content-Length: 10\r\n\r\n{")
            assert connection.recv(100).startswith(b"HTTP/1.1 408")
        assert running.predict(event()).status == 200


def test_tokens_come_from_the_environment_and_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From both together; in headrace.toml they are refused, and what is refused is not shown."""
    (tmp_path / "headrace.toml").write_text('[http]\ntokens_file = "tokens"\n')
    (tmp_path / "tokens").write_text(f"# of the monitoring\n{READ} read\n")
    monkeypatch.setenv("HEADRACE_HTTP__TOKENS", f"{PREDICT} predict")
    tokens = tokens_of(tmp_path, load_settings(tmp_path))
    assert [tokens.scopes(f"Bearer {one}".encode()) for one in (READ, PREDICT, BOTH)] == [{"read"}, {"predict"}, None]
    (tmp_path / "tokens").write_text("\n")
    with pytest.raises(SettingError, match="has none"):
        tokens_of(tmp_path, load_settings(tmp_path))
    (tmp_path / "headrace.toml").write_text("")
    for nothing in ("", " ; ", "# none"):  # a secret that is not there opens no door
        monkeypatch.setenv("HEADRACE_HTTP__TOKENS", nothing)
        with pytest.raises(SettingError, match="got none"):
            tokens_of(tmp_path, load_settings(tmp_path))
    (tmp_path / "headrace.toml").write_text(f'[http]\ntokens = "{READ} read"\n')
    with pytest.raises(SettingError, match="is a secret") as caught:
        load_settings(tmp_path)
    assert READ not in str(caught.value)


def slow_model(fraud: Service, folder: Path, products: int = 60) -> None:
    """A model in production that takes from some 50 ms to a good part of a second, or a multiple of it for more ``products``."""
    version = register_odd(folder, fraud.plan, slow(2, products), INPUTS[:2]).version
    Registry(folder).set_alias("fraud", "production", version)


def test_more_at_once_than_may_be_are_told_to_come_back(fraud: Service, tmp_path: Path) -> None:
    """429 with Retry-After, at once; those in work have their predictions."""
    slow_model(fraud, tmp_path)
    with serving([fraud], tmp_path, max_concurrency=3, deadline_ms=30_000) as running, ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: running.predict(event()), range(12)))
        assert {response.status for response in found} == {200, 429}
        assert all(response.headers["retry-after"] == "1" for response in found if response.status == 429)
        assert running.predict(event()).status == 200


def test_a_request_has_a_response_by_its_deadline(fraud: Service, tmp_path: Path) -> None:
    """Whatever the model does: 503, to be tried again."""
    slow_model(fraud, tmp_path, products=600)
    with serving([fraud], tmp_path, deadline_ms=20) as running:
        began = time.monotonic()
        response = running.predict(event())
        assert (response.status, "deadline" in response.json["detail"]) == (503, True)
        assert time.monotonic() - began < 1


def test_requests_past_their_deadline_do_not_pile_up(fraud: Service, tmp_path: Path) -> None:
    """While a batch takes long, at most ``max_concurrency`` wait for it, whether or not somebody still waits for them."""
    slow_model(fraud, tmp_path, products=1500)
    with serving([fraud], tmp_path, deadline_ms=20, max_concurrency=1) as running:
        found = [running.predict(event()).status for _ in range(3)]
    assert found == [503, 503, 429]


def test_nor_do_those_of_the_inference_protocol(fraud: Service, tmp_path: Path) -> None:
    """What a model still runs is in work, whether or not somebody waits for it."""
    slow_model(fraud, tmp_path, products=1500)
    with serving([fraud], tmp_path, deadline_ms=20, max_concurrency=1) as running:
        made = [
            {"name": one["name"], "datatype": one["datatype"], "shape": [1, *one["shape"][1:]], "data": [1.0] * one["shape"][1]}
            for one in running.request("GET", "/v2/models/fraud").json["inputs"]
        ]
        found = [running.request("POST", "/v2/models/fraud/infer", {"inputs": made}) for _ in range(3)]
    assert [one.status for one in found] == [503, 429, 429]
    assert {one.headers["retry-after"] for one in found} == {"1"}


def test_what_is_scored_after_the_end_is_of_nobody() -> None:
    """A batch that was in hand as the service ended: its thread ends as it should."""
    loop = asyncio.new_event_loop()
    nothing: Any = None
    job = Job(nothing, nothing, 0.0, loop.create_future())
    loop.close()
    deliver([(job, Scored((), degraded=False))])
    assert not job.waiting.done()


def test_every_response_has_the_requests_id(running: Running) -> None:
    """The caller's own, where it may stand in a log; errors have it in their body too."""
    assert running.predict(event(), **{"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = running.predict(event(), **{"X-Request-Id": "a b\tc"}).headers["x-request-id"]
    assert len(made) == 32
    response = running.request("GET", "/nothing")
    assert response.headers["x-request-id"] == response.json["request_id"]


def test_requests_are_logged_where_that_is_wanted(fraud: Service, models: Path) -> None:
    """One line each, with the request's id and its trace."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with capture_logs() as logged, serving([fraud], models, access_log=True) as running:
        running.predict(event(), **{"X-Request-Id": "mine", "traceparent": trace})
    lines = [line for line in logged if line.get("request_id") == "mine"]
    assert [(line["path"], line["status"], line["traceparent"]) for line in lines] == [("/v1/predict/fraud", 200, trace)]


def test_metrics_tell_what_was_done(running: Running) -> None:
    """Rows, requests by route and status, what serves; no path of a caller's becomes a label."""
    running.predict(event(), event())
    running.request("GET", "/some/path/of/a/caller")
    response = running.request("GET", "/metrics")
    text = response.body.decode()
    assert response.headers["content-type"].startswith("text/plain")
    assert 'headrace_model_info{environment="production",model="fraud",service="fraud",version="1"} 1.0' in text
    assert 'headrace_http_requests_total{method="POST",route="/v1/predict/{service}",status="200"}' in text
    assert 'headrace_predict_rows_total{service="fraud"}' in text
    assert "/some/path" not in text


def test_what_was_taken_is_finished_before_the_end(fraud: Service, tmp_path: Path) -> None:
    """Requests that are being scored when the service is told to stop."""
    slow_model(fraud, tmp_path, products=600)
    with serving([fraud], tmp_path, deadline_ms=30_000) as running, ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(running.predict, event()) for _ in range(3)]
        while "headrace_http_requests_in_work 3.0" not in running.request("GET", "/metrics").body.decode():
            assert not any(one.done() for one in waiting), "a model that is slow enough has all three in work"
            time.sleep(0.005)
        running.stop()
        assert [one.result().status for one in waiting] == [200] * 3


def test_a_port_that_is_taken_is_one_line(fraud: Service, models: Path, running: Running) -> None:
    """Of advice."""
    config = http_config(HttpSettings(port=int(running.address.rpartition(":")[2])), models)
    with pytest.raises(StackError, match="give another --port"):
        run([fraud], Registry(models), config, Tokens())


@pytest.mark.slow
def test_the_command_serves_until_it_is_stopped(fraud: Service, models: Path) -> None:
    """`headrace serve` says where it listens, and ends with 0 at SIGTERM."""
    command = [sys.executable, "-m", "infra.cli", "serve", "fraud", "--project", str(fraud.folder), "--port", "0"]
    environment = {**os.environ, "HEADRACE_REGISTRY": str(models)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        while "serving fraud on http://127.0.0.1:" not in said:
            assert process.poll() is None
            said = process.stdout.readline()
        port = said.partition("http://127.0.0.1:")[2].partition(";")[0]
        running = Running(f"127.0.0.1:{port}", process.terminate)
        running.wait_ready()
        assert running.predict(event()).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_tls_is_spoken_where_there_is_a_certificate(fraud: Service, models: Path, tmp_path: Path) -> None:
    """And nothing else is."""
    sign(tmp_path, "service")
    tls = {"tls_certificate_file": tmp_path / "service.pem", "tls_key_file": tmp_path / "service.key"}
    with serving([fraud], models, ready=False, **tls) as running:
        trusted = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with urllib.request.urlopen(f"https://{running.address}/healthz", context=trusted) as response:
            assert response.status == 200
        with pytest.raises((OSError, http.client.HTTPException)):
            running.request("GET", "/healthz")
