"""The client against a real service, and against a server with faults."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest

from features.feast.predictions import open_predictions_for_writing
from features.service import Service
from schemas import Origin, Prediction, Receipt, StoredPrediction
from schemas.codec import encode
from serving.client import (
    Accepted,
    Client,
    DeniedError,
    ExpiredError,
    Failed,
    NotFoundError,
    Received,
    RefusedError,
    UnavailableError,
)
from serving.client import http as of_client
from serving.client.sse import Event, events
from serving.http.tokens import parse
from tests.serving.client.scripted import Reply, scripted
from tests.serving.http.support import INPUTS, Running, event, serving
from tests.serving.kafka.support import project_with_rows
from tests.support.models import register, stumps

TOKEN = "0123456789abcdef"  # noqa: S105 - of this test's service
NOW = int(time.time() * 1000)
BUSY = Reply(503, b'{"detail": "no model yet", "request_id": "r1"}', (("retry-after", "1"),))
DONE = Prediction("é", 5, 0.1 + 0.2, Receipt(None, "p", "m", 1, "0", {"a": 1}, {}, True, 1, 2, 3))


@pytest.fixture(scope="module")
def fraud(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service with a model, rows of two customers, and two stored predictions, of which one has expired."""
    service = project_with_rows(tmp_path_factory.mktemp("of a client") / "fraud").service("fraud")
    register(service.folder / "models", service.plan, stumps([0.1, 0.2, 0.3]), inputs=INPUTS)
    good = StoredPrediction(0.1 + 0.2, "fraud", 7, "plan", NOW, NOW, None)
    stale = msgspec.structs.replace(good, valid_until=NOW - 1)
    open_predictions_for_writing(service)([((1, 2), good), ((3, 4), stale)])
    return service


@pytest.fixture(scope="module")
def running(fraud: Service) -> Iterator[Running]:
    """The service, which wants a token."""
    tokens = parse(f"{TOKEN} read,predict; fedcba9876543210 read", "test")
    with serving([fraud], fraud.folder / "models", tokens) as made:
        yield made


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    """A client with the token."""
    with Client(f"http://{running.address}/", token=TOKEN) as made:
        yield made


@pytest.mark.slow
def test_predictions_on_demand(client: Client) -> None:
    """Of each event, in their order, with its receipt; the model's own error where a row has none."""
    one, two = client.predict("fraud", [event(1, 12.5), {**event(2), "amount": Decimal("7.25")}])
    assert isinstance(one, Prediction)
    assert isinstance(two, Prediction)
    assert one.receipt.inputs["transaction_amount__amount"] == 12.5
    assert two.receipt.inputs["transaction_amount__amount"] == 7.25
    assert two.receipt.inputs["customer_profile__mean_amount"] == 20.25
    assert client.predict("fraud", []) == []


def test_a_stored_prediction(client: Client) -> None:
    """By the parts of its key; one that is not there and one that has expired are errors of their own."""
    found = client.fetch("fraud", 1, 2)
    assert (found.score, found.version, found.key) == (0.1 + 0.2, 7, {"customer_id": 1, "terminal_id": 2})
    with pytest.raises(NotFoundError, match="no prediction of service 'fraud' is stored for customer_id 9"):
        client.fetch("fraud", 9, 9)
    with pytest.raises(ExpiredError, match="held until"):
        client.fetch("fraud", 3, 4)


def test_what_is_wrong_is_said_with_the_requests_id(client: Client, running: Running) -> None:
    """By kind, at once: nothing is tried again."""
    with pytest.raises(RefusedError, match="missing required field") as caught:
        client.predict("fraud", [{}])
    assert (caught.value.status, len(caught.value.request_id)) == (400, 32)
    for token, status in ((None, 401), ("fedcba9876543210", 403)):
        with Client(f"http://{running.address}", token=token) as other, pytest.raises(DeniedError) as denied:
            other.predict("fraud", [event()])
        assert denied.value.status == status


@pytest.mark.slow
def test_a_busy_service_is_tried_again_when_it_says() -> None:
    """After 503 with Retry-After and a connection that was closed; the same bytes are sent each time."""
    with scripted(BUSY, Reply(None), Reply(body=encode(DONE))) as (url, seen), Client(url) as client:
        began = time.monotonic()
        assert client.publish("orders", {"id": "é", "price": Decimal("1.10")}, wait=0.05) == DONE
        assert time.monotonic() - began > 1
    assert [(one.method, one.path) for one in seen] == [("POST", "/v1/events/orders?wait=50ms")] * 3
    assert {one.body for one in seen} == {'{"id":"é","price":1.10}'.encode()}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(302, b"", (("location", "/login"),)), RefusedError),
        (Reply(200, b"<html>"), UnavailableError),
        (Reply(), UnavailableError),
    ],
)
def test_what_something_else_responds_is_an_error_of_the_client(reply: Reply, kind: type[Exception]) -> None:
    """A proxy before the service, or another service, by whatever call; nothing is sent again."""
    with scripted(reply) as (url, seen), Client(url) as client:
        for call in (partial(client.fetch, "fraud", 1), partial(client.predict, "fraud", [{}]), partial(client.publish, "t", {})):
            with pytest.raises(kind) as caught:
                call()
            assert caught.value.status == reply.status  # type: ignore[attr-defined]
    assert len(seen) == 3


@pytest.mark.slow
def test_it_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the service said last; with what became of the connection where it said nothing; after a timeout too."""
    again = Reply(429, b'{"detail": "at most 8 requests", "request_id": "r2"}')
    with scripted(again) as (url, seen), Client(url, retries=2) as client:
        with pytest.raises(UnavailableError, match="at most 8 requests") as busy:
            client.fetch("a", 1)
        assert (busy.value.status, busy.value.request_id, len(seen)) == (429, "r2", 3)

    def slow(_: Any) -> Reply:
        time.sleep(0.5)
        return Reply()

    with scripted(slow) as (url, seen), Client(url, retries=1, timeout=0.1) as client:
        with pytest.raises(UnavailableError, match="after 1 retries") as silent:
            client.fetch("a", 1)
        assert (silent.value.status, len(seen)) == (None, 2)
    with Client(url, retries=0) as client, pytest.raises(UnavailableError, match="gave no response"):
        client.fetch("a", 1)


def test_events_that_were_published() -> None:
    """A prediction that was there in time, one that was not, and an event that was refused."""
    origin = Origin("orders", 1, 2)
    many = {
        "results": [
            {"status": 200, "prediction": DONE},
            {"status": 202, "event_id": 7, "origin": origin},
            {"status": 400, "event_id": None, "error": "id is missing"},
        ]
    }
    accepted = Reply(202, encode({"event_id": 7, "origin": origin}))
    with scripted(accepted, Reply(207, encode(many))) as (url, seen), Client(url) as client:
        assert client.publish("or/ders", {"id": 7}, service="s") == Accepted(7, origin)
        assert client.publish_all("orders", [{"id": 1}] * 3) == [DONE, Accepted(7, origin), Failed(None, "id is missing")]
    assert [one.path for one in seen] == ["/v1/events/or%2Fders?service=s", "/v1/events/orders"]


def sent(*places: str) -> bytes:
    """A stream of predictions whose ids are these places."""
    parts = [b"id: %b\ndata: %b\n\n" % (place.encode(), encode(DONE)) for place in places]
    return b"retry: 1000\n\n" + b":\n\n".join(parts)


def test_a_stream_that_is_lost_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut within an event, refused and ended: each prediction comes once, and the place after the last is sent back."""
    monkeypatch.setattr(of_client, "PAUSE", 0.01)
    cut = Reply(body=sent("0:1", "0:2", "0:3")[:-3], is_cut=True)
    with scripted(cut, Reply(None), Reply(body=sent("0:3"))) as (url, seen), Client(url) as client:
        found = list(client.predictions("shop", start="beginning", until_end=True))
    assert found == [Received(place, DONE) for place in ("0:1", "0:2", "0:3")]
    assert [one.headers.get("last-event-id") for one in seen] == [None, "0:2", "0:2"]
    assert seen[0].path == "/v1/stream/shop?from=beginning&until=end"


def test_a_stream_that_stays_lost_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many attempts as there are retries, none of which brought anything; a place that is gone is said at once."""
    monkeypatch.setattr(of_client, "PAUSE", 0.01)
    with scripted(Reply(body=b"id", is_cut=True)) as (url, seen), Client(url, retries=2) as client:
        with pytest.raises(UnavailableError, match="3 times in a row"):
            next(client.predictions("shop"))
        assert len(seen) == 3
    gone = Reply(410, b'{"detail": "read from=beginning"}')
    with scripted(gone) as (url, _), Client(url) as client, pytest.raises(ExpiredError, match="from=beginning"):
        next(client.predictions("shop", after="0:5"))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_server_sent_events_in_parts_of_any_size(size: int) -> None:
    """Lines with either end, data of several lines, comments, an id alone, and what is cut off at the end."""
    whole = b"id: 0:1\r\ndata: a\r\ndata: b\r\n\r\n: ping\n\nid: 0:2\n\nevent: x\ndata:c\n\nid: 0:3\ndata: cut"
    parts = [whole[first : first + size] for first in range(0, len(whole), size)]
    assert list(events(parts)) == [Event("0:1", b"a\nb"), Event("0:2", b""), Event("0:2", b"c")]
