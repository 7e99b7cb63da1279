"""A scikit-learn pipeline with texts, on a real broker: its inputs come by name, its scores are scikit-learn's."""

from __future__ import annotations

import uuid
from pathlib import Path

import msgspec
import numpy as np
import pytest

from features.service import Service
from infra.local.broker import Broker
from schemas import DeadLetter
from schemas.codec import decode_prediction
from schemas.topics import DEAD_LETTERS
from serving.models.registry import Registry
from serving.models.session import load_model
from tests.serving.kafka.support import PARTITIONS, Setting, scoring
from tests.serving.models.test_libraries import FUNCTIONS, as_frame, computed, events
from tests.support.libraries import pipeline
from tests.support.models import register
from tests.support.orders import PLAN
from tests.support.streamed import message

REGION = "profile__region"


class Orders(Setting):
    """A service of the orders, without their batch view, and the pipeline as its model."""

    def __init__(self, broker: Broker, folder: Path, onnx: bytes) -> None:
        self.bootstrap, self.folder = broker.bootstrap, folder
        self.plan = msgspec.structs.replace(PLAN, service=f"orders-{uuid.uuid4().hex[:8]}", batch=())
        self._found = Service(folder, self.plan, FUNCTIONS, {}, ())
        broker.create_topics({self.plan.features_topic: PARTITIONS, self.plan.predictions_topic: PARTITIONS})
        broker.create_topics({DEAD_LETTERS.name: 1}, DEAD_LETTERS.config)
        register(folder, self.plan, onnx)


@pytest.mark.stack
def test_a_pipeline_with_texts_scores_the_stream(broker: Broker, tmp_path: Path) -> None:
    """Each event has scikit-learn's score, or is a dead letter for the reason that `headrace score` gives."""
    fitted = pipeline(as_frame(computed(events(600, nulls=False))), without=REGION)
    orders = Orders(broker, tmp_path / "a folder", fitted.onnx)
    rows = events(120, nulls=True)
    table = computed(rows)
    batch = load_model(Registry(orders.folder).get(orders.plan.service, 1)).score_table(table, orders.plan)
    reasons = dict(zip((row["id"] for row in rows), batch.unscorable.to_pylist(), strict=True))
    expected = [event for event, reason in reasons.items() if reason is None]
    orders.send((row["id"] % PARTITIONS, message(orders.plan, row)) for row in rows)
    with scoring(orders):
        records = orders.predictions(len(expected))
        letters: list[DeadLetter] = orders.dead_letters(len(rows) - len(expected))
    scores = {prediction.event_id: prediction.score for prediction in (decode_prediction(record.value) for record in records)}
    assert sorted(scores) == expected
    own = fitted.expected(as_frame(table.take(expected)).infer_objects())
    np.testing.assert_allclose([scores[event] for event in expected], own, rtol=fitted.apart, atol=fitted.apart)
    assert sorted(letter.detail for letter in letters) == sorted(reason for reason in reasons.values() if reason is not None)
    assert {letter.reason for letter in letters} == {"unscorable"}
