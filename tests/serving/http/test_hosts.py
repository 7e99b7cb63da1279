"""What a page of another site sends through somebody's browser is refused where no token keeps it out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from features.service import Service
from serving.http.tokens import parse
from tests.serving.http.support import Running, event, serving
from tests.support.chromium import launched
from tests.support.metrics import read_metrics

pytestmark = pytest.mark.slow

SITE = "http://elsewhere.example"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "LOCALHOST:1", "[::1]:8080", "proxy.example:443"])
def test_a_good_host(host: str, fraud: Service, models: Path) -> None:
    """Of the loopback, and of the settings, whatever the port; so is the page of the service itself, and one of the settings."""
    with serving([fraud], models, allowed_hosts=("Proxy.example",)) as running:
        assert running.predict(event(), Host=host).status == 200
        assert running.predict(event(), Host=host, Origin=f"https://{host}").status == 200
        assert running.predict(event(), Host=host, Origin="https://proxy.example").status == 200


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example", "localhost.", "[", "0.0.0.0:8080", ""])
def test_another_host(host: str, running: Running) -> None:
    """Whatever is wanted, health too: by then the page's name leads here, and it may read what comes back."""
    for method, path in (("GET", "/healthz"), ("GET", "/v1/models"), ("POST", "/v1/predict/fraud")):
        response = running.request(method, path, headers={"Host": host})
        assert (response.status, "http.allowed_hosts" in response.json["detail"]) == (421, True)


@pytest.mark.parametrize("origin", [SITE, "null", "http://127.0.0.1:1", "http://[", "file://"])
def test_another_origin(origin: str, running: Running) -> None:
    """Another port of this machine is another site, too."""
    response = running.predict(event(), Origin=origin)
    assert (response.status, origin in response.json["detail"]) == (403, True)


def test_a_token_is_enough(fraud: Service, models: Path) -> None:
    """No page of another site has it."""
    tokens = parse("0123456789abcdef predict", "tokens")
    with serving([fraud], models, tokens) as running:
        more = {"Host": "elsewhere.example", "Origin": SITE, "Authorization": "Bearer 0123456789abcdef"}
        assert running.predict(event(), **more).status == 200


def test_a_browser_sends_what_is_refused(running: Running) -> None:
    """A page of another port posts plain text, for which no browser needs leave."""
    address = f"http://{running.address}/v1/predict/fraud"
    post = "address => fetch(address, {method: 'POST', mode: 'no-cors', body: '{\"rows\": []}'}).then(() => true)"
    before = refused(running)
    with another_site() as site, launched() as browser:
        page = browser.new_page()
        page.goto(site)
        assert page.evaluate(post, address)
    assert refused(running) == before + 1


def refused(running: Running) -> float:
    """How many requests were, before they had a route."""
    return read_metrics(f"http://{running.address}/metrics").get(("headrace_http_requests_total", "", "", "403"), 0)


@contextmanager
def another_site() -> Iterator[str]:
    """A server of an empty page; its address."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
