"""The trace of a feature vector goes on with what a scorer makes of it; on a real broker."""

from __future__ import annotations

from contextlib import closing

import pytest
from kafka import KafkaProducer

from infra.local.broker import Broker
from schemas.codec import decode_prediction
from schemas.topics import predictions
from serving.kafka import batches
from tests.serving.kafka.support import PARTITIONS, Setting, read, scoring, vector, wait_until

pytestmark = pytest.mark.stack

TRACE = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("x-request-id", b"mine")]


@pytest.mark.parametrize("fits", [True, False])
def test_predictions_and_dead_letters_have_the_trace(
    broker: Broker, handbook: Setting, monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    """Production's, a shadow's and a dead letter, no other header; where the vector has none, none. With the producer's own
    ``send``, too, which versions of kafka-python that were not read have."""
    monkeypatch.setattr(batches, "FITS", fits)
    topic = predictions(handbook.plan.service, "staging").name
    broker.create_topics({topic: PARTITIONS})
    handbook.change("alias", handbook.add(), alias="staging")
    sent = {0: [*TRACE, ("baggage", b"theirs")], 1: [], 2: [("baggage", b"theirs")]}
    with scoring(handbook):
        wait_until(lambda: bool(handbook.said("staging")), 5)
        with closing(KafkaProducer(bootstrap_servers=handbook.bootstrap)) as producer:
            for event, headers in sent.items():
                producer.send(handbook.plan.features_topic, vector(handbook.plan, event), b"key", headers, 0)
            for headers in (sent[0], []):
                producer.send(handbook.plan.features_topic, b"no JSON", b"key", headers, 0)
            producer.flush()
        live, shadowed = handbook.predictions(3), read(handbook.bootstrap, topic, range(PARTITIONS), 3)
        letters = handbook.letters(2)
    for made in (live, shadowed):
        assert {decode_prediction(one.value).event_id: one.headers for one in made} == {0: TRACE, 1: [], 2: []}
    assert [one.headers for one in letters] == [TRACE, []]
