"""What status says of batch rows: of the newest predictions' receipts."""

from __future__ import annotations

from contextlib import closing

import msgspec
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from features.plan import Plan
from infra.local.broker import Broker
from infra.run.receipts import Told, newest, warnings
from schemas import Origin, Prediction, Receipt
from schemas.codec import encode
from tests.support.data import EXAMPLE

DAY = 86_400_000


def prediction(event: int, age_days: float | None, reason: str | None = None) -> bytes:
    """A prediction whose batch row is so old at the event."""
    time = 100 * DAY
    as_of = {} if age_days is None else {"customer_profile": int(time - age_days * DAY)}
    incomplete = {"customer_profile": reason} if reason else {}
    receipt = Receipt(Origin("t", 0, event), "p", "m", 1, "s", {}, as_of, not reason, 1, 2, 3, incomplete)
    return encode(Prediction(event, time, 0.5, receipt))


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The example's."""
    return load(EXAMPLE).service("fraud").plan


@pytest.mark.stack
def test_the_newest_predictions_are_read(broker: Broker) -> None:
    """Of each partition the last ones; a topic that is not there has none."""
    broker.create_topics({"newest-predictions": 2})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for event in range(20):
            producer.send("newest-predictions", prediction(event, event), partition=event % 2)
        producer.flush()
    client = {"bootstrap_servers": [broker.bootstrap]}
    ages = sorted(
        (told.event_time - told.receipt.batch_as_of["customer_profile"]) // DAY
        for told in newest(client, "newest-predictions", 6)
    )
    assert ages == [14, 15, 16, 17, 18, 19]
    assert newest(client, "no-such-predictions") == []


def test_what_they_lack_is_one_line(plan: Plan) -> None:
    """Rows that are missing or of the future, and rows of more than two days, with the command that brings new ones."""
    receipts = [(1, None, "missing"), (2, None, "missing"), (3, -1, "too_new"), (4, 1, None), (5, 3, None), (6, 34.5, None)]
    told = [prediction(*one) for one in receipts]
    decode = msgspec.json.Decoder(Told).decode
    (line,) = warnings(plan, map(decode, told))
    assert line == (
        "batch view 'customer_profile': of the last 6 predictions, 2 without a row, as it is missing; 1 without a row, as it is "
        "too_new; 2 with a row that was older than 2d at the event, up to 34d 12h; run 'headrace batch-views fraud --push'"
    )
    assert warnings(plan, [decode(prediction(1, 2))]) == []
