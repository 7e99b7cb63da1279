"""``GET /v1/predictions/{service}/{key}``: what a batch run has stored of an entity."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.definitions.load import load
from features.feast.predictions import open_predictions_for_writing
from features.service import Service
from schemas import StoredPrediction
from serving.http.tokens import parse
from tests.serving.http.support import Running, serving
from tests.support.online_shop import SQLITE, make_shop

pytestmark = pytest.mark.slow
NOW = int(time.time() * 1000)
HOUR = 3_600_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service with a key of three columns and two stored predictions, of which one does not hold any more."""
    service = load(make_shop(tmp_path_factory.mktemp("stored") / "a shop", SQLITE.format(kind="sqlite"))).service("shop")
    write = open_predictions_for_writing(service)
    fresh = StoredPrediction(0.1 + 0.2, "shop", 3, "plan", NOW - HOUR, NOW - 60_000, NOW + HOUR, {"label": 1})
    stale = StoredPrediction(0.5, "shop", 2, "plan", NOW - 2 * HOUR, NOW - HOUR, NOW - 1)
    write([((1, "a / b, é", -7), fresh), ((2, "s", 0), stale)])
    return service


@pytest.fixture(scope="module")
def running(shop: Service) -> Iterator[Running]:
    """The service, without a model: none is needed for what is stored."""
    with serving([shop], shop.folder / "models", ready=False) as made:
        yield made


def test_a_stored_prediction_is_fetched_by_its_key(running: Running) -> None:
    """A part of the path for each column; with the model, the times, the age and until when it holds."""
    response = running.request("GET", "/v1/predictions/shop/1/a%20%2F%20b%2C%20%C3%A9/-7")
    assert response.status == 200
    found = response.json
    assert 60_000 <= found.pop("age_ms") <= 60_000 + time.time() * 1000 - NOW
    assert found == {
        "service": "shop",
        "key": {"account_id": 1, "shop": "a / b, é", "product": -7},
        "score": 0.1 + 0.2,
        "model": "shop",
        "version": 3,
        "plan": "plan",
        "as_of": NOW - HOUR,
        "computed_at": NOW - 60_000,
        "valid_until": NOW + HOUR,
        "outputs": {"label": 1},
    }


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("shop/9/s/0", 404, "no prediction of service 'shop' is stored for account_id 9, shop 's', product 0"),
        ("shop/9999999999999999999/s/0", 404, "no prediction"),
        ("shop/2/s/0", 410, "held until"),
        ("shop/2/s", 404, "/v1/predictions/shop/{account_id}/{shop}/{product}; got 2 parts"),
        ("shop/2/s/0/1", 404, "got 4 parts"),
        ("shop/two/s/0", 400, "'account_id' is a whole number of 64 bits; got 'two'"),
        ("shop/+2/s/0", 400, "got '+2'"),
        ("shop/2/%ff/0", 400, "no text in UTF-8"),
        ("another/2", 404, "there is no service 'another' here; there is shop"),
    ],
)
def test_what_is_not_there_is_a_problem(running: Running, path: str, status: int, detail: str) -> None:
    """An unknown key, one whose prediction does not hold any more, and what is no key."""
    response = running.request("GET", f"/v1/predictions/{path}")
    assert (response.status, response.headers["content-type"]) == (status, "application/problem+json")
    assert detail in response.json["detail"]
    assert response.headers.get("cache-control") == ("no-store" if status == 410 else None)


def test_it_takes_the_scope_read(shop: Service) -> None:
    """A token for predictions alone is refused."""
    tokens = parse("0123456789abcdef read; fedcba9876543210 predict", "test")
    with serving([shop], shop.folder / "models", tokens, ready=False) as made:
        statuses = [
            made.request("GET", "/v1/predictions/shop/9/s/0", headers={"authorization": f"Bearer {token}"}).status
            for token in ("0123456789abcdef", "fedcba9876543210", "x")
        ]
    assert statuses == [404, 403, 401]


def test_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    """503, to be tried again, and not a hang: here the database is a folder."""
    service = load(make_shop(tmp_path / "a shop", SQLITE.format(kind="sqlite"))).service("shop")
    (service.folder / "online store.db").mkdir()
    with serving([service], service.folder / "models", ready=False) as made:
        began = time.monotonic()
        for _ in range(3):
            response = made.request("GET", "/v1/predictions/shop/1/s/1")
            assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert time.monotonic() - began < 5
        (service.folder / "online store.db").rmdir()
        deadline = time.monotonic() + 10
        while made.request("GET", "/v1/predictions/shop/1/s/1").status != 404:
            assert time.monotonic() < deadline, "it never came back"
            time.sleep(0.1)
