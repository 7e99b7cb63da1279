"""Predictions over HTTP: what a request says, what its response has, and which model gave it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from features.service import Service
from schemas.codec import decode_prediction, encode
from serving.models.lifecycle import Change
from serving.models.registry import Registry
from serving.predict.share import takes
from tests.serving.http.support import INPUTS, Running, event, serving
from tests.serving.kafka.support import NOON
from tests.support.models import register, stumps
from tests.support.odd_models import register_odd, throwing

pytestmark = pytest.mark.slow


def test_a_prediction_has_its_receipt(running: Running) -> None:
    """It is the prediction of a topic: inputs from the request, a function and the online store, the row's time, the model."""
    response = running.predict(event(transaction_id=7))
    assert response.status == 200
    assert (response.json["errors"], response.json["degraded"]) == (0, False)
    prediction = decode_prediction(encode(response.json["predictions"][0]))
    assert (prediction.event_id, prediction.event_time) == (7, NOON)
    receipt = prediction.receipt
    assert dict(zip(INPUTS, (12.5, 0, 10.5), strict=True)) == receipt.inputs
    assert (receipt.origin, receipt.model, receipt.version, receipt.complete) == (None, "fraud", 1, True)
    assert receipt.batch_as_of == {"customer_profile": 1_532_908_800_000}


def test_many_rows_have_their_predictions_in_order(running: Running) -> None:
    """With the ids that they brought; a customer without a row has none, and the receipt says so."""
    response = running.predict(*(event(customer, 10 + customer, transaction_id=customer) for customer in (1, 2, 3))).json
    found = response["predictions"]
    assert [one["event_id"] for one in found] == [1, 2, 3]
    assert [one["receipt"]["inputs"]["customer_profile__mean_amount"] for one in found] == [10.5, 20.25, None]
    assert found[2]["receipt"]["incomplete"] == {"customer_profile": "missing"}


def test_no_rows_have_no_predictions(running: Running) -> None:
    """And that is no error."""
    assert running.predict().json == {"predictions": [], "errors": 0, "degraded": False}


def test_time_and_id_may_be_left_out(running: Running) -> None:
    """The time is now, so the row of 2018 is used; ids are made, each another."""
    before = time.time() * 1000 - 1
    found = running.predict({"customer_id": 1, "amount": 1}, {"customer_id": 1, "amount": 1}).json["predictions"]
    assert all(before <= one["event_time"] <= time.time() * 1000 for one in found)
    assert len({one["event_id"] for one in found}) == 2
    assert found[0]["receipt"]["inputs"]["customer_profile__mean_amount"] == 10.5


def test_window_features_come_with_the_request(running: Running, project: Any) -> None:
    """A model that takes them is refused without, with the two ways out; with them it scores."""
    refused = running.predict(event(), service="handbook")
    assert refused.status == 400
    assert "publish the event to 'transactions' and read predictions.handbook" in refused.json["detail"]
    features = {
        feature.name: 3.0 if "mean" in feature.name else 3 for feature in project.service("handbook").plan.window_features
    }
    response = running.request("POST", "/v1/predict/handbook", {"rows": [{"event": event(), "features": features}]})
    assert response.json["predictions"][0]["receipt"]["inputs"]["customer_spend__count_1d"] == 3


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ({"customer_id": 1}, "`amount`"),
        ({"customer_id": None, "amount": 1}, "customer_id"),
        ({"customer_id": "1", "amount": 1}, "customer_id"),
        ({"customer_id": 2**63, "amount": 1}, "$.rows[0].event.customer_id"),
        ({"customer_id": 1.5, "amount": 1}, "a whole number"),
        ({"customer_id": 1, "amount": 1.234}, "decimal(12,2)"),
        ({"customer_id": 1, "amount": 1e10}, "decimal(12,2)"),
        ({"customer_id": 1, "amount": 1, "event_time": "2018-07-30T12:00:00"}, "ISO 8601 with its offset"),
        ({"customer_id": 1, "amount": 1, "event_time": 1_532_952_000}, "looks like seconds"),
        ({"customer_id": 1, "amount": 1, "event_time": 10**17}, "ahead of the clock"),
    ],
)
def test_what_is_wrong_with_an_event_is_said(running: Running, row: dict[str, Any], detail: str) -> None:
    """The field, what it may be, what came: 400, as problem details."""
    response = running.predict(row)
    assert (response.status, response.headers["content-type"]) == (400, "application/problem+json")
    assert detail in response.json["detail"]


DEEP = b'{"other":' + b"[" * 100_000


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"rows":{}}', b'{"rows":[{"event":{"amount":NaN}}]}', b"\xff\xfe", b'{"\\ud800":1}', DEEP],
)
def test_what_is_no_request_is_refused(running: Running, body: bytes) -> None:
    """JSON that is none, or of another form."""
    assert running.request("POST", "/v1/predict/fraud", raw=body).status == 400


def test_numbers_of_an_event_are_read_as_the_stream_reads_them(running: Running) -> None:
    """3.0 is a whole number, a time may have an offset, what no one takes is passed over."""
    row = event(1.0, 12.50, transaction_id=3.0, event_time="2018-07-31 14:00:00.123+02:00", other=[1])  # type: ignore[arg-type]
    prediction = running.predict(row).json["predictions"][0]
    assert (prediction["event_id"], prediction["event_time"]) == (3, NOON + 123)


def test_requests_at_once_each_have_their_own_prediction(running: Running) -> None:
    """200 of them, each with an amount of its own, some scored as one batch."""
    amounts = [number + 0.25 for number in range(200)]

    def amount_of(amount: float) -> tuple[float, int]:
        found = running.predict(event(1, amount, transaction_id=int(amount))).json["predictions"][0]
        return found["receipt"]["inputs"]["transaction_amount__amount"], found["event_id"]

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(amount_of, amounts)) == [(amount, int(amount)) for amount in amounts]


def test_a_row_on_which_the_model_throws_has_its_error(fraud: Service, tmp_path: Path) -> None:
    """The others of the request have their predictions."""
    version = register_odd(tmp_path, fraud.plan, throwing(2), INPUTS[:2]).version  # it throws unless its inputs are 0
    Registry(tmp_path).set_alias("fraud", "production", version)
    with serving([fraud], tmp_path) as running:
        response = running.predict(*(event(1, amount, transaction_id=int(amount)) for amount in (0, 5, 0))).json
    assert response["errors"] == 1
    assert ["score" in one for one in response["predictions"]] == [True, False, True]
    assert (response["predictions"][1]["event_id"], "Gather" in response["predictions"][1]["error"]) == (5, True)


def test_a_promotion_is_followed(fraud: Service, models: Path) -> None:
    """Within a second of the log's entry the new version serves, without a request lost; a canary has the keys of its share."""
    registry = Registry(models)
    register(models, fraud.plan, stumps([0.3, 0.2, 0.1]), inputs=INPUTS, alias=None)
    with serving([fraud], models) as running:
        registry.change("fraud", Change(action="promote", model="fraud", version=2, who="test"))
        deadline = time.monotonic() + 10
        while running.predict(event()).json["predictions"][0]["receipt"]["version"] != 2:
            assert time.monotonic() < deadline
        registry.change("fraud", Change(action="canary", model="fraud", version=1, share=0.5, who="test"))
        while len(running.request("GET", "/v1/models").json["models"]) == 1:
            assert time.monotonic() < deadline
        found = running.predict(*(event(customer) for customer in range(20))).json["predictions"]
    assert [one["receipt"]["version"] for one in found] == [1 if takes(str(key).encode(), 0.5) else 2 for key in range(20)]


def test_nothing_is_ready_before_a_model_serves(fraud: Service, tmp_path: Path) -> None:
    """It lives, says what is missing and takes no request; once a version is promoted, it is ready."""
    with serving([fraud], tmp_path, ready=False) as running:
        assert running.request("GET", "/healthz").status == 200
        assert running.request("GET", "/v2/health/ready").status == 503
        assert running.request("POST", "/v2/repository/index").json == []
        deadline = time.monotonic() + 10
        while "no model there" not in running.request("GET", "/readyz").json["services"]["fraud"]:
            assert time.monotonic() < deadline
        response = running.predict(event())
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        register(tmp_path, fraud.plan, stumps([0.1, 0.2, 0.3]), inputs=INPUTS)
        running.wait_ready()
        assert running.predict(event()).status == 200
