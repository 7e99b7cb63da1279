"""A client of `headrace serve`: predictions on demand, stored ones, events that are published, and the stream of predictions."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import urllib3

from schemas import FetchedPrediction, Origin, Prediction
from schemas.codec import UNREADABLE
from serving.client import sse
from serving.client.errors import UnavailableError, error_of
from serving.client.received import Received, received

BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts: none before the first retry, twice `PAUSE` before the second, then double from one to the next, up to
the longest, with a part of a `PAUSE` added by chance."""
LONGEST_WAIT = 60
"""The most seconds of a Retry-After that are waited."""
SILENT_SECONDS = 60.0
"""Without a byte for so long a stream is lost, and begun anew where it was."""
PART = 2**16
"""The most bytes of a stream that are taken at once; what is there is taken as soon as it is."""
T = TypeVar("T")

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Accepted(msgspec.Struct, frozen=True):
    """An event that is published, and has no prediction yet."""

    event_id: int | str
    origin: Origin
    """Where Kafka has it."""


class Failed(msgspec.Struct, frozen=True):
    """A row without a prediction, and why; the others of its request have theirs."""

    event_id: int | str | None
    error: str


class _Predicted(msgspec.Struct):
    predictions: list[msgspec.Raw]


class _Result(msgspec.Struct):
    prediction: Prediction | None = None
    event_id: int | str | None = None
    origin: Origin | None = None
    error: str = ""


class _Results(msgspec.Struct):
    results: list[_Result]


class Client:
    """Requests to one service. Threads may share it; ``async`` code calls it with `asyncio.to_thread`.

    A request that finds the service busy (429, 503) or gone is sent again, ``retries`` times at most, after the time that the
    service says, else at once, and then after pauses that double. That is safe for every request here: an event has an id, by
    which it is published once. ``timeout`` is in seconds, of a connection and of a response each.

    Methods raise `RefusedError` for what is wrong, and `UnavailableError` once no more is tried.
    """

    def __init__(
        self, url: str, *, token: str | None = None, timeout: float = 10.0, retries: int = 5, ca_file: Path | str | None = None
    ) -> None:
        self._url, self._timeout, self._retries = url.rstrip("/"), timeout, retries
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(
            ca_certs=str(ca_file) if ca_file else None,
            maxsize=16,
            retries=urllib3.Retry(
                total=retries,
                redirect=False,
                status_forcelist=BUSY,
                allowed_methods=None,  # POST too
                backoff_factor=PAUSE,
                backoff_max=LONGEST_PAUSE,
                backoff_jitter=PAUSE,
                retry_after_max=LONGEST_WAIT,
                raise_on_status=False,
            ),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._pool.clear()

    def predict(
        self, service: str, events: Iterable[Mapping[str, Any]], features: Iterable[Mapping[str, Any]] | None = None
    ) -> list[Prediction | Failed]:
        """A prediction of each event, in their order, from batch features as they are now.

        ``features`` are window features of each event, by full name, for a model that takes some.
        """
        rows = [{"event": event} for event in events]
        if features is not None:
            rows = [{**row, "features": of_event} for row, of_event in zip(rows, features, strict=True)]
        found = self._json(_Predicted, "POST", _path("v1", "predict", service), {"rows": rows})
        return [_prediction(one) for one in found.predictions]

    def fetch(self, service: str, *key: int | str) -> FetchedPrediction:
        """The prediction that is stored for an entity, by the values of its key.

        Raises `NotFoundError` where there is none, and `ExpiredError` where it does not hold any more.
        """
        return self._json(FetchedPrediction, "GET", _path("v1", "predictions", service, *map(str, key)))

    def publish(
        self, topic: str, event: Mapping[str, Any], *, wait: float = 0.0, service: str | None = None
    ) -> Prediction | Accepted:
        """Publish an event, and wait up to ``wait`` seconds for its prediction; ``service`` is whose, where there are several."""
        response = self._request("POST", _path("v1", "events", topic) + _query(wait, service), event)
        kind: type[Prediction | Accepted] = Prediction if response.status == HTTPStatus.OK else Accepted
        return _decoded(response, kind)

    def publish_all(
        self, topic: str, events: Sequence[Mapping[str, Any]], *, wait: float = 0.0, service: str | None = None
    ) -> list[Prediction | Accepted | Failed]:
        """The same of several events in one request, with what became of each, in their order."""
        found = self._json(_Results, "POST", _path("v1", "events", topic) + _query(wait, service), list(events))
        return [_outcome(one) for one in found.results]

    def predictions(
        self, service: str, *, after: str | None = None, start: Literal["beginning", "end"] = "end", until_end: bool = False
    ) -> Iterator[Received]:
        """The predictions of a service as they come, each once: those after a place, else from the beginning or from now on.

        A connection that is lost is made anew where it was; before the first prediction, that is where it began. With
        ``until_end``, those that are there now. Raises `ExpiredError` for a place that is no longer kept.
        """
        query = {"from": start} | ({"until": "end"} if until_end else {})
        path, failed = f"{_path('v1', 'stream', service)}?{urlencode(query)}", 0
        while True:
            try:
                for event in self._events(path, after):
                    after = event.id
                    if event.data:
                        failed = 0
                        yield from received(event.id, event.data)
                if until_end:
                    return
            except urllib3.exceptions.HTTPError as error:
                failed += 1
                if failed > self._retries:
                    raise UnavailableError(f"the stream was lost {failed} times in a row: {error}") from error
            time.sleep(min(PAUSE * 2**failed, LONGEST_PAUSE) + random.uniform(0, PAUSE))  # noqa: S311 - not a secret

    def _events(self, path: str, after: str | None) -> Iterator[sse.Event]:
        headers = {"last-event-id": after} if after else {}
        response = self._request("GET", path, headers=headers, is_stream=True)
        try:
            yield from sse.events(iter(partial(response.read1, PART), b""))
        finally:
            response.close()

    def _json(self, kind: type[T], method: str, path: str, body: Any = None) -> T:
        return _decoded(self._request(method, path, body), kind)

    def _request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, is_stream: bool = False
    ) -> urllib3.BaseHTTPResponse:
        """A good response. Raises the client's errors."""
        sent = {**self._headers, **(headers or {})} | ({} if body is None else {"content-type": "application/json"})
        timeout = urllib3.Timeout(connect=self._timeout, read=SILENT_SECONDS if is_stream else self._timeout)
        try:
            response = self._pool.request(
                method,
                self._url + path,
                body=None if body is None else _encode(body),
                headers=sent,
                timeout=timeout,
                preload_content=not is_stream,
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnavailableError(f"{self._url} gave no response, after {self._retries} retries: {error}") from error
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:  # it redirects nobody: a proxy does
            raise error_of(response.status, response.data)
        return response


def _decoded(response: urllib3.BaseHTTPResponse, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(response.data, type=kind)
    except UNREADABLE as error:
        said = f"the response of status {response.status} is none of the service's: {error}; look at what is at this address"
        raise UnavailableError(said, response.status) from error


def _path(*parts: str) -> str:
    return "".join(f"/{_quoted(part)}" for part in parts)


def _quoted(part: str) -> str:
    """A part of a path; one that is dots alone would be taken for a step up."""
    return part.replace(".", "%2E") if part in {".", ".."} else quote(part, safe="")


def _query(wait: float, service: str | None) -> str:
    query = ({"wait": f"{round(wait * 1000)}ms"} if wait else {}) | ({"service": service} if service else {})
    return f"?{urlencode(query)}" if query else ""


def _prediction(raw: msgspec.Raw) -> Prediction | Failed:
    try:
        return msgspec.json.decode(raw, type=Prediction)
    except msgspec.ValidationError:
        return msgspec.json.decode(raw, type=Failed)


def _outcome(one: _Result) -> Prediction | Accepted | Failed:
    if one.prediction is not None:
        return one.prediction
    if one.origin is not None and one.event_id is not None:
        return Accepted(one.event_id, one.origin)
    return Failed(one.event_id, one.error)
