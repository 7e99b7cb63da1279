"""An endpoint for OAuth 2 client credentials, and the key with which a broker checks its tokens."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.certificates import openssl

LIFE_SECONDS = 300


class Tokens:
    """Gives each of ``clients``, ids with their secrets, a token with its id as subject; ``requests`` counts those for tokens."""

    def __init__(self, folder: Path, clients: Mapping[str, str]) -> None:
        self.requests = 0
        self._folder = folder
        self._logins = {_basic(name, secret): name for name, secret in clients.items()}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        openssl(folder, "genrsa", "-out", "tokens.key", "2048")
        modulus = openssl(folder, "rsa", "-in", "tokens.key", "-noout", "-modulus").decode().strip().partition("=")[2]
        key = {"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": _text(bytes.fromhex(modulus)), "e": "AQAB"}
        self.keys = folder / "keys.json"
        self.keys.write_text(json.dumps({"keys": [key]}))

    @contextmanager
    def served(self) -> Iterator[None]:
        """The endpoint, at ``url``."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def reply(self, login: str) -> dict[str, Any] | None:
        """What the endpoint gives to who says this; None: nothing."""
        name, now = self._logins.get(login), int(time.time())
        if name is None:
            return None
        self.requests += 1
        claims = {"sub": name, "iss": "tests", "aud": "kafka", "iat": now, "exp": now + LIFE_SECONDS}
        body = f"{_text(json.dumps({'alg': 'RS256', 'kid': '1'}).encode())}.{_text(json.dumps(claims).encode())}"
        signature = openssl(self._folder, "dgst", "-sha256", "-sign", "tokens.key", given=body.encode())
        return {"access_token": f"{body}.{_text(signature)}", "expires_in": LIFE_SECONDS, "token_type": "Bearer"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        reply = self.reply

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                given = reply(self.headers["Authorization"])
                body = json.dumps(given or {"error": "invalid_client"}).encode()
                self.send_response(200 if given else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler


def _basic(name: str, secret: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"


def _text(octets: bytes) -> str:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
