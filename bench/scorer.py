"""The scorer alone, beside a bare kafka-python loop that reads the same records and writes them on.

    python -m bench.scorer

Both read full topics of feature vectors, in processes of their own, by turns, with the same settings of kafka-python and with the
broker on the same cores; the best of their rounds counts. The scorer's model has 100 trees, its batch view 5,000 rows in SQLite.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rich.console import Console

from bench.common import EXAMPLE, process, rate, row, times
from features.plan import Plan
from infra.config import scorer_config
from infra.kafka.settings import KafkaSettings
from infra.local import jars
from infra.local.broker import Broker
from infra.settings import ScorerSettings
from schemas import FeatureVector, Origin
from schemas.codec import encode
from schemas.topics import DEAD_LETTERS
from serving.kafka import config as clients
from serving.kafka.lease import Lease
from serving.kafka.membership import Membership
from serving.kafka.run import run
from serving.kafka.scorer import POLL_MS
from serving.models.admit import admit
from serving.models.registry import Registry

SERVICE = "fraud"
PARTITIONS = 2
CUSTOMERS = 5000
TREES = 100
ROUNDS = 3
WARM_UP = 0.1
"""The part of a round that does not count."""
LATENCY_RATE = 200
LATENCY_RECORDS = 2000
DAY = datetime(2018, 7, 31, tzinfo=UTC)
NOON = int(DAY.timestamp() * 1000) + 43_200_000


def rows(records: int = 200_000) -> list[dict[str, Any]]:
    """Throughput, then latency; ``records`` are those of a round."""
    jars.ensure()
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        folder, kafka = Path(temporary) / "project", broker.bootstrap
        plan = make_project(folder)
        broker.create_topics({plan.features_topic: PARTITIONS, plan.predictions_topic: PARTITIONS, "bare": PARTITIONS})
        broker.create_topics({DEAD_LETTERS.name: 1})
        contenders: dict[str, Callable[..., None]] = {"bare": run_bare, plan.predictions_topic: run_scorer}
        cpu: dict[str, list[float]] = {topic: [] for topic in contenders}
        for number in range(ROUNDS):
            fill(kafka, plan, number * records, records)
            for topic, target in contenders.items():
                with running(target, kafka, folder) as made:
                    began = cpu_seconds(made)
                    wait_for(kafka, topic, (number + 1) * records)
                    cpu[topic].append((cpu_seconds(made) - began) / records * 1e6)
        bare, ours = (best_rate(times(kafka, topic), records) for topic in contenders)
        first = ROUNDS * records
        direct = latency(kafka, plan, plan.features_topic, first)
        way = {}
        for number, (topic, target) in enumerate(contenders.items(), 1):
            with running(target, kafka, folder):
                way[topic] = latency(kafka, plan, topic, first + number * LATENCY_RECORDS)
    through_bare, through_ours = way["bare"], way[plan.predictions_topic]
    best_cpu = [round(min(rounds), 1) for rounds in cpu.values()]
    at = f"at {LATENCY_RATE}/s"
    return [
        row("scorer", round(ours), "records/s", baseline=round(bare)),
        row("scorer, CPU", best_cpu[1], "µs/record", better="lower", baseline=best_cpu[0]),
        row("scorer / bare loop", round(ours / bare, 2), "ratio", goal=0.5, baseline=1.0),
        row(f"features → predictions {at}, p50", through_ours[0], "ms", better="lower", baseline=through_bare[0]),
        row(f"features → predictions {at}, p99", through_ours[1], "ms", better="lower", baseline=through_bare[1]),
        row(
            f"of that the scorer {at}, p50",
            round(through_ours[0] - direct[0], 2),
            "ms",
            goal=1.5,
            better="lower",
            baseline=round(through_bare[0] - direct[0], 2),
        ),
    ]


def make_project(folder: Path) -> Plan:
    """A copy of the fraud example with a model in its registry and the customers' rows in its online store."""
    from feast import FeatureStore
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    from features.definitions.load import load

    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", "models", ".headrace"))
    (folder / "data" / "feast").mkdir(parents=True)
    project = load(folder)
    plan = project.service(SERVICE).plan
    profile = next(o for o in project.service(SERVICE).objects if getattr(o, "name", "") == "customer_profile")
    store = FeatureStore(repo_path=str(folder))
    store.provider.update_infra(store.project, [], [profile], [], [], partial=True)
    profiles = [
        (
            EntityKey(join_keys=["customer_id"], entity_values=[Value(int64_val=customer)]),
            {"mean_amount": Value(double_val=customer / 7), "transactions_per_day": Value(double_val=1.5)},
            DAY,
            None,
        )
        for customer in range(CUSTOMERS)
    ]
    store.provider.online_write_batch(store.config, profile, profiles, None)
    registry = Registry(folder / "models")
    manifest = registry.register(admit(trained_model(len(plan.inputs)), plan, name=SERVICE, created_at=NOON))
    registry.set_alias(SERVICE, "production", manifest.version)
    return plan


def trained_model(inputs: int) -> bytes:
    """XGBoost on noise: it costs what a real one of 100 trees does."""
    import xgboost
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    generator = np.random.default_rng(1)
    x = generator.random((5000, inputs), np.float32)
    classifier = xgboost.XGBClassifier(n_estimators=TREES, max_depth=6, n_jobs=1)
    classifier.fit(x, generator.random(5000) < 0.5)
    model: bytes = convert_xgboost(classifier, initial_types=[("x", FloatTensorType([None, inputs]))]).SerializeToString()
    return model


def fill(bootstrap: str, plan: Plan, first: int, records: int) -> None:
    """Feature vectors as the stream job writes them, spread over the partitions."""
    generator = random.Random(first)
    with closing(KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, batch_size=256 * 1024)) as producer:
        for event in range(first, first + records):
            key, value = vector(plan, event, generator)
            producer.send(plan.features_topic, value=value, key=key, partition=event % PARTITIONS)
        producer.flush()


def vector(plan: Plan, event: int, generator: random.Random) -> tuple[bytes, bytes]:
    """Key and value of one feature vector."""
    customer = generator.randrange(CUSTOMERS)
    values: dict[str, Any] = {
        f.name: generator.randrange(200) if f.function == "count" else generator.random() * 100 for f in plan.window_features
    }
    columns: dict[str, Any] = {
        "transaction_id": event,
        "event_time": NOON + event,
        "customer_id": customer,
        "terminal_id": generator.randrange(10_000),
        "amount": generator.randrange(30_000) / 100,
    }
    origin = Origin("transactions", event % PARTITIONS, event // PARTITIONS)
    message = FeatureVector(event, NOON + event, plan.short_digest, origin, int(time.time() * 1000), True, columns, values)
    return str(customer).encode(), encode(message)


@contextmanager
def running(target: Callable[..., None], bootstrap: str, folder: Path, name: str = "ready") -> Iterator[psutil.Process]:
    """The scorer or the bare loop at work, ready, until the end of the block; ``name`` is that of the file that it says so by."""
    ready = folder / name
    ready.unlink(missing_ok=True)
    with process(target, bootstrap, folder, ready) as made:
        while not ready.exists():
            if made.exitcode is not None:
                raise RuntimeError(f"{target.__name__} ended with {made.exitcode}")
            time.sleep(0.05)
        yield psutil.Process(made.pid)


def run_scorer(bootstrap: str, folder: Path, ready: Path) -> None:
    """The scorer, as it is deployed."""
    from features.definitions.load import load

    client = KafkaSettings().client(bootstrap)
    config = scorer_config(ScorerSettings(), SERVICE, client=client, ready_file=ready)
    run(load(folder).service(SERVICE), Registry(folder / "models"), config)


def run_bare(bootstrap: str, folder: Path, ready: Path) -> None:
    """Read, and write the same bytes; offsets are committed on a timer."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id="bare",
        group_instance_id="bare.0",
        max_poll_records=ScorerSettings().max_poll_records,
        **{**clients.READER, "enable_auto_commit": True},
    )
    producer = KafkaProducer(bootstrap_servers=bootstrap, **clients.SENDER)
    membership = Membership(consumer, producer, f"features.{SERVICE}", Lease(10_000))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.is_set():
        polled = consumer.poll(timeout_ms=POLL_MS)
        membership.keep()
        if consumer.assignment():
            ready.touch()
        for records in polled.values():
            for record in records:
                producer.send("bare", value=record.value, key=record.key, partition=record.partition)
    producer.flush()
    consumer.close()


def cpu_seconds(process: psutil.Process) -> float:
    """What the process has used so far."""
    used = process.cpu_times()
    return float(used.user + used.system)


def wait_for(bootstrap: str, topic: str, records: int) -> None:
    """Until the topic holds so many records."""
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    with closing(KafkaConsumer(bootstrap_servers=bootstrap)) as consumer:
        while sum(consumer.end_offsets(places).values()) < records:
            time.sleep(0.25)


def best_rate(stamps: list[int], records: int) -> float:
    """Records a second in the fastest round."""
    return max(rate(stamps[first : first + records], WARM_UP) for first in range(0, len(stamps), records))


class EventId(msgspec.Struct):
    """What feature vectors and predictions have in common."""

    event_id: int


def latency(bootstrap: str, plan: Plan, topic: str, first: int, isolation_level: str = "read_uncommitted") -> tuple[float, float]:
    """p50 and p99 in ms from the sending of a feature vector to the reading of what became of it, by one client."""
    arrived: dict[int, float] = {}
    last = first + LATENCY_RECORDS - 1
    positioned = threading.Event()

    def read() -> None:
        decode = msgspec.json.Decoder(EventId).decode
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        with closing(
            KafkaConsumer(bootstrap_servers=bootstrap, metrics_enabled=False, isolation_level=isolation_level)
        ) as consumer:
            consumer.assign(places)
            consumer.seek_to_end(*places)
            for place in places:
                consumer.position(place)
            positioned.set()
            while last not in arrived:
                polled = consumer.poll(timeout_ms=100)
                now = time.perf_counter()
                arrived.update((decode(record.value).event_id, now) for of_one in polled.values() for record in of_one)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    positioned.wait(30)
    generator, sent = random.Random(first), dict[int, float]()
    with closing(KafkaProducer(bootstrap_servers=bootstrap, **clients.SENDER)) as producer:
        for event in range(first, last + 1):
            key, value = vector(plan, event, generator)
            sent[event] = time.perf_counter()
            producer.send(plan.features_topic, value=value, key=key, partition=event % PARTITIONS)
            time.sleep(1 / LATENCY_RATE)
        reader.join(60)
    took = [arrived[event] - sent[event] for event in sent][int(LATENCY_RECORDS * WARM_UP) :]
    p50, p99 = np.percentile(took, (50, 99)) * 1000
    return round(float(p50), 2), round(float(p99), 2)


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
