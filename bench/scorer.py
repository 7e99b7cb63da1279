"""The scorer alone, against a bare kafka-python loop that reads the same records and writes them on: the cost of scoring.

python -m bench.scorer [--records N]
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rich.console import Console
from rich.table import Table

from features.plan import Plan
from infra import jars
from infra.broker import Broker
from schemas import FeatureVector, Origin
from schemas.codec import encode
from serving import scorer
from serving.registry import Registry

ROOT = Path(__file__).parents[1]
SERVICE = "fraud"
PARTITIONS = 2
CUSTOMERS = 5000
TREES = 100
LATENCY_RATE = 200
LATENCY_RECORDS = 2000
NOON = 1_533_038_400_000  # 2018-07-31


def rows(records: int = 200_000) -> list[dict[str, Any]]:
    """Throughput and latency of the scorer and of the bare loop, on one broker, one after the other.

    A row has name, value, unit, goal, better and baseline: the bare loop's figure.
    """
    jars.ensure()
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        folder = Path(temporary) / "project"
        plan = make_project(folder)
        broker.create_topics({plan.features_topic: PARTITIONS, plan.predictions_topic: PARTITIONS, "bare": PARTITIONS})
        broker.create_topics({scorer.DEAD_LETTERS: 1})
        fill(broker.bootstrap, plan, 0, records)
        measured: dict[str, float] = {}
        for role, topic in (("bare", "bare"), ("scorer", plan.predictions_topic)):
            with role_process(role, folder, broker.bootstrap):
                wait_for(broker.bootstrap, topic, records)
            measured[role] = throughput(broker.bootstrap, topic)
        direct = latency(broker.bootstrap, plan, plan.features_topic, 2 * records)
        with role_process("bare", folder, broker.bootstrap):
            through_bare = latency(broker.bootstrap, plan, "bare", 3 * records)
        with role_process("scorer", folder, broker.bootstrap):
            through_scorer = latency(broker.bootstrap, plan, plan.predictions_topic, 4 * records)
    bare, ours = measured["bare"], measured["scorer"]
    added, bare_added = through_scorer[0] - direct[0], through_bare[0] - direct[0]
    at = f"at {LATENCY_RATE}/s"
    return [
        row("bare loop, records/s", round(bare), "records/s"),
        row("scorer, records/s", round(ours), "records/s", baseline=round(bare)),
        row("scorer / bare loop", round(ours / bare, 2), "ratio", goal=0.5, baseline=1.0),
        row(f"features to predictions {at}, p50", through_scorer[0], "ms", better="lower", baseline=through_bare[0]),
        row(f"features to predictions {at}, p99", through_scorer[1], "ms", better="lower", baseline=through_bare[1]),
        row(f"more than features to their reader {at}, p50", added, "ms", better="lower", goal=1.5, baseline=bare_added),
    ]


def row(
    name: str, value: float, unit: str, *, goal: float | None = None, better: str = "higher", baseline: float | None = None
) -> dict[str, Any]:
    """One line of the result."""
    rounded = None if baseline is None else round(baseline, 2)
    return {"name": name, "value": round(value, 2), "unit": unit, "goal": goal, "better": better, "baseline": rounded}


def make_project(folder: Path) -> Plan:
    """A copy of the fraud example with a model in its registry and the customers' rows in its online store."""
    from feast import FeatureStore
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    from features.load import load

    shutil.copytree(ROOT / "examples" / SERVICE, folder, ignore=shutil.ignore_patterns("data", "models", ".headrace"))
    (folder / "data" / "feast").mkdir(parents=True)
    configuration = folder / "feature_store.yaml"
    configuration.write_text(configuration.read_text())
    project = load(folder)
    plan = project.plan(SERVICE)
    profile = next(o for o in project.objects if getattr(o, "name", "") == "customer_profile")
    store = FeatureStore(repo_path=str(folder))
    provider = store._get_provider()
    provider.update_infra(store.project, [], [profile], [], [], partial=True)
    day = datetime(2018, 7, 31, tzinfo=UTC)
    provider.online_write_batch(
        store.config,
        profile,
        [
            (
                EntityKey(join_keys=["customer_id"], entity_values=[Value(int64_val=customer)]),
                {"mean_amount": Value(double_val=customer / 7), "transactions_per_day": Value(double_val=1.5)},
                day,
                None,
            )
            for customer in range(CUSTOMERS)
        ],
        None,
    )
    registry = Registry(folder / "models")
    manifest = registry.register(
        trained_model(len(plan.inputs)),
        name=SERVICE,
        service=SERVICE,
        inputs=plan.inputs,
        plan=plan.digest,
        trained_from=0,
        trained_until=NOON,
        metrics={},
        created_at=NOON,
    )
    registry.set_alias(SERVICE, "production", manifest.version)
    return plan


def trained_model(inputs: int) -> bytes:
    """XGBoost, 100 trees of depth 6, on noise: it costs what a real one does."""
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
    customer, now = generator.randrange(CUSTOMERS), int(time.time() * 1000)
    values: dict[str, Any] = {
        f.name: generator.randrange(200) if "count" in f.name else generator.random() * 100 for f in plan.window_features
    }
    columns: dict[str, Any] = {
        "transaction_id": event,
        "event_time": NOON + event,
        "customer_id": customer,
        "terminal_id": generator.randrange(10_000),
        "amount": round(generator.random() * 300, 2),
    }
    origin = Origin("transactions", event % PARTITIONS, event // PARTITIONS)
    message = FeatureVector(event, NOON + event, plan.short_digest, origin, now, True, columns, values)
    return str(customer).encode(), encode(message)


@contextmanager
def role_process(role: str, folder: Path, bootstrap: str) -> Iterator[None]:
    """The scorer or the bare loop as a process of its own, ended after the block."""
    ready = folder / f"{role}.ready"
    ready.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.scorer", "serve", role, str(folder), bootstrap, str(ready)], cwd=ROOT
    )
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise RuntimeError(f"the {role} ended with {process.returncode}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def serve(role: str, folder: Path, bootstrap: str, ready: Path) -> None:
    """What the process of `role_process` does."""
    if role == "bare":
        serve_bare(bootstrap, ready)
        return
    from features.load import load

    project = load(folder)
    config = scorer.ScorerConfig(bootstrap=bootstrap, registry=folder / "models", ready_file=ready)
    scorer.run(project, project.plan(SERVICE), config)


def serve_bare(bootstrap: str, ready: Path) -> None:
    """Read, and write the same bytes: the scorer's own settings, its offsets committed on a timer."""
    reading = {**scorer.READER, "enable_auto_commit": True}
    consumer = KafkaConsumer(
        f"features.{SERVICE}",
        bootstrap_servers=bootstrap,
        group_id="bare",
        group_instance_id="bare.0",
        max_poll_records=scorer.ScorerConfig.model_fields["max_poll_records"].default,
        **reading,
    )
    producer = KafkaProducer(bootstrap_servers=bootstrap, **scorer.SENDER)
    while True:
        polled = consumer.poll(timeout_ms=scorer.POLL_MS)
        if consumer.assignment():
            ready.touch()
        for records in polled.values():
            for record in records:
                producer.send("bare", value=record.value, key=record.key, partition=record.partition)


def wait_for(bootstrap: str, topic: str, records: int) -> None:
    """Until ``topic`` holds so many records."""
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    with closing(KafkaConsumer(bootstrap_servers=bootstrap)) as consumer:
        while sum(consumer.end_offsets(places).values()) < records:
            time.sleep(0.25)


def throughput(bootstrap: str, topic: str) -> float:
    """Records a second between the first tenth and the end, by the times that the records bear."""
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=2000)) as consumer:
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        times = sorted(record.timestamp for record in consumer)
    begin = len(times) // 10
    return (len(times) - begin) / (times[-1] - times[begin]) * 1000


def latency(bootstrap: str, plan: Plan, topic: str, first: int) -> tuple[float, float]:
    """p50 and p99 in ms from the sending of a feature vector to the reading of what was made of it, by one client."""
    arrived: dict[int, float] = {}
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    last = first + LATENCY_RECORDS - 1

    def read() -> None:
        with closing(KafkaConsumer(bootstrap_servers=bootstrap, metrics_enabled=False)) as consumer:
            consumer.assign(places)
            consumer.seek_to_end(*places)
            for place in places:
                consumer.position(place)
            positioned.set()
            while last not in arrived:
                for records in consumer.poll(timeout_ms=100).values():
                    now = time.perf_counter()
                    arrived.update((json.loads(record.value)["event_id"], now) for record in records)

    positioned = threading.Event()
    reader = threading.Thread(target=read)
    reader.start()
    positioned.wait()
    sent, generator = {}, random.Random(first)
    with closing(KafkaProducer(bootstrap_servers=bootstrap, **scorer.SENDER)) as producer:
        for event in range(first, last + 1):
            key, value = vector(plan, event, generator)
            sent[event] = time.perf_counter()
            producer.send(plan.features_topic, value=value, key=key, partition=event % PARTITIONS)
            time.sleep(1 / LATENCY_RATE)
        reader.join(30)
    took = [(arrived[event] - sent[event]) * 1000 for event in sent if event in arrived][LATENCY_RECORDS // 10 :]
    p50, p99 = np.percentile(took, (50, 99))
    return float(p50), float(p99)


def main() -> None:
    """Print the table."""
    if sys.argv[1:2] == ["serve"]:
        role, folder, bootstrap, ready = sys.argv[2:]
        serve(role, Path(folder), bootstrap, Path(ready))
        return
    records = int(sys.argv[2]) if sys.argv[1:2] == ["--records"] else 200_000
    table = Table("what", "value", "unit", "goal", "bare loop")
    for line in rows(records):
        table.add_row(
            line["name"], f"{line['value']:,}", line["unit"], *(f"{line[k]:,}" if line[k] else "" for k in ("goal", "baseline"))
        )
    Console().print(table)


if __name__ == "__main__":
    main()
