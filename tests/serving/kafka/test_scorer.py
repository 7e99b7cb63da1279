"""The scorer on a real broker: one prediction for each event, on the partition of its features, with a receipt that holds."""

from __future__ import annotations

import math
import time

import pytest

from schemas import Origin, Prediction
from schemas.codec import decode_prediction
from serving.models.registry import Registry
from serving.models.session import load_model
from tests.serving.kafka.support import (
    DAY,
    NOON,
    PARTITIONS,
    Setting,
    scoring,
    vector,
    vectors,
)


@pytest.mark.stack
def test_prediction_has_the_partition_and_key_of_its_features(handbook: Setting) -> None:
    """Predictions can be read beside their features, partition by partition."""
    handbook.send(vectors(handbook.plan, range(20)), key=b"customer 1")
    with scoring(handbook):
        records = handbook.predictions(20)
    assert {(decode_prediction(r.value).event_id, r.partition, r.key) for r in records} == {
        (event, event % PARTITIONS, b"customer 1") for event in range(20)
    }


@pytest.mark.stack
def test_score_follows_from_the_receipt(handbook: Setting) -> None:
    """The model of the receipt on the inputs of the receipt gives the score, to the bit, and the receipt is complete."""
    before = int(time.time() * 1000)
    handbook.send(vectors(handbook.plan, range(50)))
    with scoring(handbook):
        records = handbook.predictions(50)
    model = Registry(handbook.folder).get(handbook.plan.service, 1)
    loaded = load_model(model)
    for record in records:
        prediction: Prediction = decode_prediction(record.value)
        receipt, event = prediction.receipt, prediction.event_id
        assert isinstance(event, int)
        assert tuple(receipt.inputs) == handbook.plan.inputs
        row = tuple(receipt.inputs[name] for name in model.manifest.inputs)
        assert [prediction.score] == loaded.score([row]).scores
        assert prediction.event_time == NOON + event
        assert receipt.origin == Origin("transactions", event % PARTITIONS, 1000 + event)
        assert (receipt.model, receipt.version, receipt.sha256) == (handbook.plan.service, 1, model.manifest.sha256)
        assert (receipt.plan, receipt.complete) == (handbook.plan.short_digest, event % 2 == 0)
        assert receipt.arrived_at == NOON + event + 5
        assert before <= receipt.featured_at <= receipt.scored_at <= record.timestamp
        assert receipt.inputs["customer_spend__mean_7d"] == event / 7
        assert receipt.inputs["transaction_amount__amount"] == 12.34


@pytest.mark.stack
def test_null_is_nan_to_the_model(handbook: Setting) -> None:
    """A null feature is null in the receipt, and NaN in the vector that is scored."""
    names = ("customer_spend__mean_1d", "terminal_risk__mean_30d")
    handbook.send([(0, vector(handbook.plan, 1, features=dict.fromkeys(names)))])
    with scoring(handbook):
        prediction = decode_prediction(handbook.predictions(1)[0].value)
    assert [prediction.receipt.inputs[name] for name in names] == [None, None]
    loaded = load_model(Registry(handbook.folder).get(handbook.plan.service, 1))
    row = tuple(math.nan if v is None else v for v in prediction.receipt.inputs.values())
    zeros = tuple(v or 0 for v in prediction.receipt.inputs.values())
    assert [prediction.score] == loaded.score([row]).scores != loaded.score([zeros]).scores


@pytest.mark.stack
def test_batch_features_are_joined(fraud: Setting) -> None:
    """A batch view's row is read by the event's key, its time goes into the receipt; a key without a row has nulls."""
    customers = {1: 1, 2: 2, 3: 99, 4: None}
    fraud.send([(0, vector(fraud.plan, event, event_columns={"customer_id": customer})) for event, customer in customers.items()])
    with scoring(fraud):
        receipts = {p.event_id: p.receipt for p in (decode_prediction(r.value) for r in fraud.predictions(len(customers)))}
    means = {event: receipt.inputs["customer_profile__mean_amount"] for event, receipt in receipts.items()}
    assert means == {1: 10.5, 2: 20.25, 3: None, 4: None}
    assert receipts[1].inputs["customer_profile__transactions_per_day"] is None
    as_of = {"customer_profile": int(DAY.timestamp() * 1000)}
    assert {event: receipt.batch_as_of for event, receipt in receipts.items()} == {1: as_of, 2: as_of, 3: {}, 4: {}}
