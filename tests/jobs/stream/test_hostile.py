"""Whatever Kafka takes becomes one feature vector and one prediction, or one dead letter: a real broker, Flink and scorer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from features.inputs.columns import input_columns
from features.plan import Plan
from features.service import Service
from features.taken import taken
from features.times import EVENT_TIMES
from infra.config import scorer_config
from infra.local.broker import Broker
from infra.local.topics import longest_records
from infra.settings import ScorerSettings
from schemas import Origin
from schemas.codec import decode_dead_letter, decode_prediction
from schemas.topics import DEAD_LETTERS
from serving.http.event_rules import Event, EventRules
from serving.kafka.run import run
from serving.models.registry import Registry
from tests.support.flink import Cluster
from tests.support.hostile_records import DEFINITIONS, Hostile, by_chance, encoded, known
from tests.support.models import register, stumps
from tests.support.streams import PARTITIONS, Submitted, own_topics, records, run_to_end, submitted, vectors

pytestmark = pytest.mark.stack

RANDOM = 600
"""Records of each batch."""
CODECS = (None, "gzip", "snappy", "lz4", "zstd")
LONGEST_PREDICTION = 300_000


@pytest.fixture
def service(tmp_path: Path, broker: Broker) -> Service:
    """Windows of every kind over a source with a column of every kind, and a model."""
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    found = load(tmp_path).service("hostile")
    plan = own_topics(
        broker,
        found.plan,
        source={"max.message.bytes": str(8 << 20), "compression.type": "snappy"},
        features={"compression.type": "lz4"},
        predictions={"max.message.bytes": str(LONGEST_PREDICTION), "compression.type": "zstd"},
    )
    inputs = input_columns(plan, plan.inputs)
    register(tmp_path, plan, stumps([0.01] * len(inputs)), inputs=inputs)
    return msgspec.structs.replace(found, plan=plan)


def test_no_record_stops_anything(broker: Broker, cluster: Cluster, service: Service, tmp_path: Path) -> None:
    """Thousands of hostile records: each is accounted for once, and the good event after each batch has its prediction."""
    plan, sent = service.plan, dict[Origin, Hostile]()
    batches = [list(known()), *(list(by_chance(RANDOM, seed)) for seed in range(len(CODECS)))]
    ready = tmp_path / "ready"
    with submitted(broker, cluster, plan, tmp_path, bounded=False, ready_file=ready) as job, ExitStack() as scorers:
        wait_until(ready.exists, (job,))  # what a scorer's thread lets go of would disturb the one that submits
        scorer = scorers.enter_context(scoring(broker, service, tmp_path))
        for number, (batch, codec) in enumerate(zip(batches, (*CODECS, None), strict=True)):
            names = [f"neighbour {number} {partition}" for partition in range(PARTITIONS)]
            neighbours = [Hostile(encoded(name, k="neighbours"), "vector") for name in names]
            sent |= send(broker, plan.spine_source.topic, [*batch, *neighbours], codec)
            ids = {f"e{name}" for name in names}
            wait_until(lambda ids=ids: ids <= predicted(broker, plan.predictions_topic).keys(), (job, scorer))
        wait_until(lambda: len(accounted(broker, service)) >= len(sent), (job, scorer))
        assert restarts(cluster, plan.service) == []
    found = vectors(broker, plan)
    good, bad = Counter(vector.origin for vector in found), dead(broker, plan.spine_source.topic)
    assert good + Counter(list(bad)) == Counter(list(sent)), "each record has one vector or one dead letter"
    becomes = {origin: "vector" if origin in good else bad[origin] for origin in sent}
    assert [(becomes[o], r.value and r.value[:60]) for o, r in sent.items() if r.becomes not in (None, becomes[o])] == []
    assert len(found) > 500
    assert len(bad) > 1000
    predictions, refused = predicted(broker, plan.predictions_topic), dead(broker, plan.features_topic)
    assert set(predictions.values()) == {1}
    assert {"unscorable", "too_large"} == set(refused.values())
    assert len(predictions) + len(refused) == len({vector.event_id for vector in found}) == len(found)
    sums = {vector.event_id: vector.features["recent__sum_n"] for vector in found if vector.event["k"] == "sums"}
    assert sorted(sums.values()) == [number * (2**63 - 1) for number in (1, 2, 3)]
    assert sums.keys() <= predictions.keys(), "a sum beyond 64 bits is exact, and scored"
    over_http = taken_over_http(plan, sent)
    assert {bad[origin] for origin in over_http if origin in bad} <= {"too_large"}, "what is taken over HTTP is no dead letter"
    assert len(over_http & good.keys()) >= 0.95 * len(good), "and it takes nearly all that the stream takes"


def test_no_record_stops_a_job_that_waits(broker: Broker, cluster: Cluster, service: Service, tmp_path: Path) -> None:
    """In event-time mode, where rows wait, and with state on disk: each record has one vector or one dead letter."""
    plan = msgspec.structs.replace(service.plan, mode="event_time")
    sent = send(broker, plan.spine_source.topic, [*known(), *by_chance(RANDOM, len(CODECS))], None)
    run_to_end(broker, cluster, plan, tmp_path, state_backend="rocksdb")
    good, bad = Counter(vector.origin for vector in vectors(broker, plan)), dead(broker, plan.spine_source.topic)
    assert good + Counter(list(bad)) == Counter(list(sent))
    assert restarts(cluster, plan.service) == []


def send(broker: Broker, topic: str, batch: list[Hostile], codec: str | None) -> dict[Origin, Hostile]:
    """The records of a batch, on all partitions, the last ones last; by where they lie."""
    client = {"bootstrap_servers": broker.bootstrap, "max_request_size": 8 << 20, "compression_type": codec, "linger_ms": 5}
    with closing(KafkaProducer(**client)) as producer:
        futures = [
            producer.send(topic, r.value, r.key, list(r.headers), number % PARTITIONS, r.timestamp)
            for number, r in enumerate(batch)
        ]
        places = [future.get(30) for future in futures]
    return {Origin(topic, at.partition, at.offset): record for at, record in zip(places, batch, strict=True)}


@contextmanager
def scoring(broker: Broker, service: Service, folder: Path) -> Iterator[threading.Thread]:
    """The service's scorer on a thread."""
    client = {"bootstrap_servers": [broker.bootstrap]}
    longest = longest_records(client, [DEAD_LETTERS.name, service.plan.predictions_topic])
    config = scorer_config(ScorerSettings(), service.name, client=client, longest=longest)
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(service, Registry(folder), config, stop))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(60)


def predicted(broker: Broker, topic: str) -> Counter[int | str]:
    """How many predictions each event has."""
    return Counter(decode_prediction(record.value).event_id for record in records(broker, topic))


def taken_over_http(plan: Plan, sent: Mapping[Origin, Hostile]) -> set[Origin]:
    """Those of the records that `POST /v1/events` would publish."""
    topic = plan.spine_source.topic
    how = taken(topic, [plan])
    assert how is not None
    rules = EventRules(topic, how, EVENT_TIMES, most=1)
    return {origin for origin, record in sent.items() if isinstance(rules.one(record.value or b""), Event)}


def dead(broker: Broker, topic: str) -> dict[Origin, str]:
    """The reasons of the dead letters of a topic; each is there once, under its origin."""
    reasons: dict[Origin, str] = {}
    for record in records(broker, DEAD_LETTERS.name):
        letter = decode_dead_letter(record.value)
        if letter.origin.topic == topic:
            assert letter.origin not in reasons
            assert record.key.decode() == letter.origin.text
            reasons[letter.origin] = letter.reason
    return reasons


def accounted(broker: Broker, service: Service) -> list[object]:
    """What has come out of the records so far: predictions and dead letters."""
    topics = (service.plan.spine_source.topic, service.plan.features_topic)
    return [*predicted(broker, service.plan.predictions_topic), *(origin for topic in topics for origin in dead(broker, topic))]


def restarts(cluster: Cluster, service: str) -> list[object]:
    """What Flink restarted the service's job for."""
    jobs = [job["jid"] for job in cluster.get("jobs/overview")["jobs"] if job["name"].endswith(service)]
    return [e for job in jobs for e in cluster.get(f"jobs/{job}/exceptions")["exceptionHistory"]["entries"]]


def wait_until(condition: Callable[[], bool], alive: Sequence[threading.Thread | Submitted], seconds: float = 60) -> None:
    """Poll until it holds, while all are alive."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert all(one.is_alive() for one in alive), "a record stopped it"
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.3)
