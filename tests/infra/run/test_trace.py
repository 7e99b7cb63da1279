"""A trace is whole: the prediction of an event that has one has it too, through a real Flink and a real scorer."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from features.plan import Mode
from infra.local.broker import Broker
from schemas.codec import decode_prediction
from tests.serving.kafka.support import Setting, scoring
from tests.support.flink import Cluster
from tests.support.models import register, stumps
from tests.support.streams import own_topics, submitted

pytestmark = pytest.mark.stack

T = 1_714_550_400_000
TRACE = {"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x-request-id": b"mine"}


@pytest.mark.parametrize("mode", ["arrival", "event_time"])
def test_a_prediction_has_the_trace_of_its_event(
    broker: Broker, cluster: Cluster, small_copy: Path, tmp_path: Path, mode: Mode
) -> None:
    """In either mode, as it is published; that of an event without headers has none."""
    setting = Setting(broker, load(small_copy), "handbook", tmp_path / "its own")
    setting.plan = plan = own_topics(broker, setting.plan, mode=mode)
    setting.folder = tmp_path / "models"
    register(setting.folder, plan, stumps([0.01 * i for i in range(len(plan.inputs))]))
    with (
        submitted(broker, cluster, plan, tmp_path / "checkpoints", bounded=False, idle_timeout_ms=500),
        scoring(setting),
        closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer,
    ):
        for event, headers in ((1, list(TRACE.items())), (2, [])):
            row = {"transaction_id": event, "event_time": T + event, "customer_id": 7, "terminal_id": 8, "amount": 1.5}
            producer.send(plan.spine_source.topic, json.dumps(row).encode(), b"key", headers, 0)
        producer.flush()
        found = setting.predictions(2)
    assert {decode_prediction(one.value).event_id: dict(one.headers) for one in found} == {1: TRACE, 2: {}}
