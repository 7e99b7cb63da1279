"""OAuth tokens for kafka-python, by the grant of client credentials (RFC 6749, 4.4), as Kafka's Java client gets them."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from kafka.errors import SaslAuthenticationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider

FRESH = 0.8
"""The part of its life in which a token is used again, as in Kafka's Java client."""
TIMEOUT_SECONDS = 10


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another address would be given the secret: urllib sends it there, be it another host, or without TLS."""

    def redirect_request(self, *redirect: Any) -> None:
        """None: the reply is an error."""


OPENER = urllib.request.build_opener(_NoRedirect)


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """One token for all connections of a process, fetched anew before it expires."""

    def __init__(
        self, url: str, client_id: str, secret: str, scope: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._url = url
        self._login = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        self._scope = scope
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._until = clock()

    def token(self) -> str:
        """The token. Raises kafka-python's `SaslAuthenticationFailedError` where the endpoint gives none."""
        with self._lock:
            if not self._token or self._clock() >= self._until:
                began, reply = self._clock(), self._ask()
                self._token = reply["access_token"]
                self._until = began + FRESH * self._life(reply)
            return self._token

    def _ask(self) -> dict[str, Any]:
        form = {"grant_type": "client_credentials", **({"scope": self._scope} if self._scope else {})}
        headers = {"Authorization": f"Basic {self._login}", "Accept": "application/json"}
        body = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - the user's own endpoint
        try:
            with OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
                reply: dict[str, Any] = json.load(response)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise SaslAuthenticationFailedError(f"kafka.oauth_token_url, {self._url}, gave no token: {error}") from None
        if not isinstance(reply, dict) or not reply.get("access_token"):
            raise SaslAuthenticationFailedError(f"kafka.oauth_token_url, {self._url}, gave no access_token")
        return reply

    def _life(self, reply: dict[str, Any]) -> float:
        """In seconds; 0 where the endpoint does not say."""
        try:
            return float(reply.get("expires_in") or 0)
        except (TypeError, ValueError):
            came = f"{reply['expires_in']!r:.40}"
            raise SaslAuthenticationFailedError(
                f"kafka.oauth_token_url, {self._url}, gave expires_in {came}, no seconds"
            ) from None
