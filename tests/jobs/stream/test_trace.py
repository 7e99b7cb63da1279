"""The trace of an event goes through a real Flink to its feature vector, or to its dead letter."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from features.job import job_plan
from features.plan import Mode
from features.service import Service
from infra.local.broker import Broker
from jobs.stream.topics import committed
from schemas.codec import decode_dead_letter, decode_features
from schemas.topics import DEAD_LETTERS
from tests.support.flink import Cluster
from tests.support.streams import await_vectors, config_of, own_topics, records, run_to_end, submitted
from tests.support.waits import wait_until

pytestmark = pytest.mark.stack

T = 1_714_550_400_000
TRACE = {
    "traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": b"vendor=\xff",
    "x-request-id": b"mine",
}


@pytest.mark.parametrize(("mode", "stages"), [("arrival", 2), ("event_time", 2), ("arrival", 0)])
def test_a_vector_has_the_trace_of_its_event(
    broker: Broker, cluster: Cluster, small: Service, tmp_path: Path, mode: Mode, stages: int
) -> None:
    """Through both stages, or none: the trace and no other header; where the record has none of it, no header at all."""
    plan = own_topics(broker, small.plan, mode=mode)
    if not stages:
        plan = msgspec.structs.replace(plan, windows=(), sources=plan.sources[:1], on_demand=(), inputs=())
    whole = [*TRACE.items(), ("baggage", b"theirs")]
    sent: dict[int, list[tuple[str, bytes]]] = {
        1: [*whole],
        2: [],
        3: [("baggage", b"theirs")],
        4: [("traceparent", b"x" * 513), ("x-request-id", b"x" * 512)],
        5: [("x-request-id", b"one"), ("traceparent", b"a"), ("x-request-id", b"mine"), ("traceparent", b"x" * 513)],
    }
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for event, headers in sent.items():
            row = {"transaction_id": event, "event_time": T + event, "customer_id": 7, "terminal_id": 8, "amount": 1.5}
            producer.send(plan.spine_source.topic, json.dumps(row).encode(), b"key", headers, 0)
        producer.send(plan.spine_source.topic, b"no JSON", b"key", whole, 0)
        producer.send(plan.spine_source.topic, b"nor this", b"key", [], 0)
    run_to_end(broker, cluster, plan, tmp_path)
    found = {decode_features(one.value).event_id: dict(one.headers) for one in records(broker, plan.features_topic)}
    assert found == {1: TRACE, 2: {}, 3: {}, 4: {"x-request-id": b"x" * 512}, 5: {"x-request-id": b"mine"}}
    letters = [(decode_dead_letter(one.value), one) for one in records(broker, DEAD_LETTERS.name)]
    ours = {letter.origin.offset: dict(one.headers) for letter, one in letters if letter.origin.topic == plan.spine_source.topic}
    assert ours == {5: TRACE, 6: {}}


def test_a_trace_waits_in_a_checkpoint_with_its_row(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """On RocksDB, by the hundred in a key: rows that wait for the watermark when the job ends have their vectors from the next
    one, those with a trace their own, the others none."""
    plan = own_topics(broker, small.plan, mode="event_time")
    states: list[dict[str, bytes]] = [{}, {}, {"tracestate": bytes([0, 255])}]
    sent = {event: {"traceparent": b"%d" % event} | states[event % 3] if event % 2 else {} for event in range(300)}
    options: dict[str, Any] = {"bounded": False, "state_backend": "rocksdb", "checkpoint_interval_ms": 200}
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for event, headers in sent.items():
            row = {"transaction_id": event, "event_time": T + event, "customer_id": 7, "terminal_id": 8, "amount": 1.5}
            producer.send(plan.spine_source.topic, json.dumps(row).encode(), b"key", list(headers.items()), 0)
    job = job_plan([plan])
    read = lambda: group_offsets(broker, config_of(broker, plan, tmp_path).sql.group_of(job), plan.spine_source.topic)  # noqa: E731
    with submitted(broker, cluster, plan, tmp_path, idle_timeout_ms=600_000, **options):
        wait_until(lambda: read() == len(sent), 60)  # by a checkpoint that has them all
    assert not list(records(broker, plan.features_topic)), "none waited"
    with submitted(broker, cluster, plan, tmp_path, idle_timeout_ms=500, **options):
        await_vectors(broker, plan, len(sent))
    found = {decode_features(one.value).event_id: dict(one.headers) for one in records(broker, plan.features_topic)}
    assert found == sent


def group_offsets(broker: Broker, group: str, topic: str) -> int:
    """How many records of a topic's partition 0 a group is done with."""
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        return committed(admin, group).get(TopicPartition(topic, 0), 0)
