"""The HTTP service in tests: on a thread, over the fraud example with two customers' rows in its online store."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from features.service import Service
from infra.config import http_config
from infra.http_settings import HttpSettings
from serving.http.config import KafkaConfig
from serving.http.page.sources import Sources
from serving.http.run import run
from serving.http.tokens import Tokens
from serving.models.registry import Registry

NOON = "2018-07-31T12:00:00Z"
"""Of the day after the one whose rows are online."""
NOBODY = Tokens()
INPUTS = ("transaction_amount__amount", "transaction_flags__night", "customer_profile__mean_amount")
"""Of a model without window features."""


class Response(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body; a number that is none is refused by this decoder."""
        return msgspec.json.decode(self.body)


class Running(NamedTuple):
    """A service that listens."""

    address: str
    """``127.0.0.1:1234``"""
    stop: Callable[[], None]

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, raw: bytes | None = None
    ) -> Response:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        sent = raw if raw is not None else None if body is None else msgspec.json.encode(body)
        try:
            connection.request(method, path, sent, dict(headers or {}))
            response = connection.getresponse()
            return Response(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def predict(self, *events: Mapping[str, Any], service: str = "fraud", **headers: str) -> Response:
        """Predictions of these events."""
        return self.request("POST", f"/v1/predict/{service}", {"rows": [{"event": event} for event in events]}, headers)

    def wait_ready(self, seconds: float = 20) -> None:
        """Until every service has a model."""
        deadline = time.monotonic() + seconds
        while self.request("GET", "/readyz").status != 200:
            assert time.monotonic() < deadline, "it was never ready"
            time.sleep(0.02)


@contextmanager
def serving(
    services: Sequence[Service],
    folder: Path,
    tokens: Tokens = NOBODY,
    *,
    ready: bool = True,
    kafka: KafkaConfig | None = None,
    sources: Sources | None = None,
    **settings: Any,
) -> Iterator[Running]:
    """The service with the models below ``folder``, ready; stopped after the block, and what it raises is raised here."""
    config = http_config(HttpSettings(port=0, **settings), folder)
    listening, errors = threading.Event(), list[BaseException]()
    found: list[Running] = []

    def listen(address: str, stop: Callable[[], None]) -> None:
        found.append(Running(urlsplit(address).netloc, stop))
        listening.set()

    def work() -> None:
        try:
            run(services, Registry(folder), config, tokens, listen, kafka, sources)
        except BaseException as error:
            errors.append(error)
        finally:
            listening.set()

    thread = threading.Thread(target=work)
    thread.start()
    listening.wait(30)
    try:
        if found:
            if ready:
                found[0].wait_ready()
            yield found[0]
    finally:
        if found:
            found[0].stop()
        thread.join(60)
    if errors:
        raise errors[0]


def event(customer: int = 1, amount: float = 12.5, **more: Any) -> dict[str, Any]:
    """An event, as it would be published, at noon of the day after."""
    return {"event_time": NOON, "customer_id": customer, "amount": amount, **more}
