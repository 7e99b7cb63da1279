"""OAuth tokens for kafka-python: fetched once, again in time, and what an endpoint refuses is one line."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import SaslAuthenticationFailedError

from infra.kafka.tokens import ClientCredentials
from tests.support.tokens import LIFE_SECONDS, Tokens

pytestmark = pytest.mark.slow


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Tokens]:
    """Where ``me`` gets tokens with ``mine``."""
    tokens = Tokens(tmp_path, {"me": "mine"})
    with tokens.served():
        yield tokens


def test_a_token_is_used_until_it_is_old(endpoint: Tokens) -> None:
    """One token for all connections of a process, and the next before the broker refuses it."""
    now = [0.0]
    provider = ClientCredentials(endpoint.url, "me", "mine", clock=lambda: now[0])
    assert provider.token() == provider.token()
    assert endpoint.requests == 1
    now[0] = 0.7 * LIFE_SECONDS
    provider.token()
    assert endpoint.requests == 1
    now[0] = 0.9 * LIFE_SECONDS
    provider.token()
    assert endpoint.requests == 2


@pytest.mark.parametrize(
    ("secret", "there", "reason"), [("other", True, "HTTP Error 401"), ("mine", False, "Connection refused")]
)
def test_an_endpoint_that_gives_none_is_named(endpoint: Tokens, secret: str, there: bool, reason: str) -> None:
    """A wrong secret or an endpoint that is not there; the secret is in no message."""
    url = endpoint.url if there else "http://127.0.0.1:1/token"
    with pytest.raises(SaslAuthenticationFailedError, match=rf"oauth_token_url, {url}, gave no token: .*{reason}") as caught:
        ClientCredentials(url, "me", secret).token()
    assert secret not in str(caught.value).replace(url, "")


@pytest.mark.parametrize("reply", [{"access_token": "t", "expires_in": None}, {"access_token": "t"}])
def test_a_token_without_a_life_is_used_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Any) -> None:
    """An endpoint need not say how long it holds."""
    monkeypatch.setattr(Tokens, "reply", lambda tokens, login: reply)
    tokens = Tokens(tmp_path, {})
    with tokens.served():
        assert ClientCredentials(tokens.url, "me", "mine").token() == "t"


def test_the_secret_goes_to_no_other_address(endpoint: Tokens) -> None:
    """A redirect is no token: it may lead to another host, or away from TLS."""
    heard: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_error(404)

        def do_POST(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/elsewhere")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(SaslAuthenticationFailedError, match="gave no token: HTTP Error 302"):
            ClientCredentials(f"http://127.0.0.1:{server.server_port}/token", "me", "mine").token()
        server.shutdown()
    assert heard == []


def test_what_does_not_speak_http_gives_no_token() -> None:
    """The port of another server, in one line."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-x\r\n")

        thread = threading.Thread(target=reply, daemon=True)
        thread.start()
        with pytest.raises(SaslAuthenticationFailedError, match=r"gave no token: SSH-2\.0-x"):
            ClientCredentials(f"http://127.0.0.1:{server.getsockname()[1]}/token", "me", "mine").token()
        thread.join()


@pytest.mark.parametrize("life", ["soon", [300]])
def test_a_life_that_is_no_number_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, life: Any) -> None:
    """The thread that connects gets the error that it knows."""
    monkeypatch.setattr(Tokens, "reply", lambda tokens, login: {"access_token": "t", "expires_in": life})
    tokens = Tokens(tmp_path, {})
    with tokens.served(), pytest.raises(SaslAuthenticationFailedError, match=r"gave expires_in .*, no seconds"):
        ClientCredentials(tokens.url, "me", "mine").token()


@pytest.mark.parametrize("reply", [{"access_token": ""}, ["t"]])
def test_a_reply_without_a_token_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Any) -> None:
    """Whatever else it is."""
    monkeypatch.setattr(Tokens, "reply", lambda tokens, login: reply)
    tokens = Tokens(tmp_path, {})
    with tokens.served(), pytest.raises(SaslAuthenticationFailedError, match="gave no access_token"):
        ClientCredentials(tokens.url, "me", "mine").token()
