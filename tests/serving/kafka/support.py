"""The scorer in tests: on a real broker, over topics and a model of the test's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from features.definitions.load import Project, load
from features.plan import Plan
from features.service import Service
from infra.config import scorer_config
from infra.local.broker import Broker
from infra.settings import ScorerSettings
from schemas import DeadLetter, Deployment, FeatureVector, Origin
from schemas.codec import decode_dead_letter, decode_deployment, decode_prediction, encode
from schemas.topics import DEAD_LETTERS, DEPLOYMENTS
from serving.kafka.config import ScorerConfig
from serving.kafka.metrics import ScorerMetrics
from serving.kafka.run import run
from serving.models.lifecycle import Change
from serving.models.registry import Registry
from serving.models.reports import Serving
from tests.support.models import register, stumps
from tests.support.odd_models import SPOILED, register_odd, register_spoiled
from tests.support.waits import wait_until

ROOT = Path(__file__).parents[3]
PARTITIONS = 2
LATE_MS = 500
"""More than a busy test machine adds to a prediction, and less than what must not wait for it takes."""
NOON = 1_533_038_400_000
DAY = datetime(2018, 7, 30, tzinfo=UTC)


def project_with_rows(folder: Path) -> Project:
    """The fraud example in a new ``folder``, with two customers' rows in its online store."""
    from feast import FeatureStore
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    shutil.copytree(ROOT / "examples" / "fraud", folder, ignore=shutil.ignore_patterns("data", "models", ".headrace"))
    (folder / "data" / "feast").mkdir(parents=True)
    loaded = load(folder)
    profile = next(o for o in loaded.service("fraud").objects if getattr(o, "name", "") == "customer_profile")
    store = FeatureStore(repo_path=str(folder))
    store.provider.update_infra(store.project, [], [profile], [], [], partial=True)
    rows = [
        (
            EntityKey(join_keys=["customer_id"], entity_values=[Value(int64_val=customer)]),
            {"mean_amount": Value(double_val=mean), "transactions_per_day": Value()},
            DAY,
            None,
        )
        for customer, mean in ((1, 10.5), (2, 20.25))
    ]
    store.provider.online_write_batch(store.config, profile, rows, None)
    return loaded


class Setting:
    """One test's service on the broker: its plan, topics and model, a producer and readers."""

    def __init__(self, broker: Broker, project: Project, service: str, folder: Path) -> None:
        self.project = project
        self.bootstrap = broker.bootstrap
        self._found = found = project.service(service)
        self.plan = msgspec.structs.replace(found.plan, service=f"{service}-{uuid.uuid4().hex[:8]}")
        self.folder = folder
        broker.create_topics({self.plan.features_topic: PARTITIONS, self.plan.predictions_topic: PARTITIONS})
        broker.create_topics({DEAD_LETTERS.name: 1}, DEAD_LETTERS.config)
        broker.create_topics({DEPLOYMENTS.name: 1})
        register(folder, self.plan, stumps([0.01 * i for i in range(len(self.plan.inputs))]))

    @property
    def service(self) -> Service:
        """The service with the test's own plan."""
        return msgspec.structs.replace(self._found, plan=self.plan)

    def config(self, **changes: Any) -> ScorerConfig:
        """A scorer's configuration, its ready file a new one."""
        ready = self.folder / f"ready-{uuid.uuid4().hex}"
        client = {"bootstrap_servers": [self.bootstrap]}
        section = ScorerSettings(**changes)
        return scorer_config(section, self.plan.service, client=client, ready_file=ready)

    @property
    def registry(self) -> Registry:
        """The models, as another process sees them."""
        return Registry(self.folder)

    def add(self, onnx: bytes | None = None) -> int:
        """One more version of the model, by default one that scores, else an odd one; in no environment as yet."""
        if onnx == SPOILED:
            return register_spoiled(self.folder, self.plan).version
        if onnx is not None:
            return register_odd(self.folder, self.plan, onnx).version
        weights = [0.01 * i for i in range(len(self.plan.inputs))]
        return register(self.folder, self.plan, stumps(weights), alias=None).version

    def change(self, action: Any, version: int | None = None, **fields: Any) -> int:
        """Change what is deployed; gives the entry's number."""
        wanted = Change(action=action, model=self.plan.service, version=version, who="test", **fields)
        return self.registry.change(self.plan.service, wanted).seq

    def said(self, alias: str = "production", instance: str = "0") -> list[Serving]:
        """What a scorer says of an environment."""
        reports = [report for report in self.registry.reports(self.plan.service) if report.instance == instance]
        return [one for report in reports for one in report.serving if one.alias == alias]

    def deployments(self, count: int) -> list[Deployment]:
        """What the topic says of this service, once there is so much."""
        ours: Callable[[Any], bool] = lambda r: r.key == self.plan.service.encode()  # noqa: E731
        return [decode_deployment(r.value) for r in read(self.bootstrap, DEPLOYMENTS.name, [0], count, ours)]

    @contextmanager
    def traffic(self, rate: float = 500) -> Iterator[list[tuple[int, int]]]:
        """Events one after the other, at so many a second: (partition, event) of each that was sent. Ten keys take turns."""
        sent: list[tuple[int, int]] = []
        stop = threading.Event()

        def work() -> None:
            with closing(KafkaProducer(bootstrap_servers=self.bootstrap)) as producer:
                while not stop.wait(1 / rate):
                    event = len(sent)
                    value = vector(self.plan, event)
                    producer.send(self.plan.features_topic, value=value, key=key_of(event), partition=event % PARTITIONS)
                    sent.append((event % PARTITIONS, event))
                producer.flush()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield sent
        finally:
            stop.set()
            thread.join(30)

    def send(self, records: Iterable[tuple[int, bytes | None]], key: bytes = b"key", codec: str | None = None) -> None:
        """Write (partition, value) pairs to the features topic."""
        with closing(KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5, compression_type=codec)) as producer:
            for partition, value in records:
                producer.send(self.plan.features_topic, value=value, key=key, partition=partition)
            producer.flush()

    def predictions(self, count: int) -> list[Any]:
        """The records of the predictions topic, once there are as many as ``count``, and a moment for more to come."""
        return read(self.bootstrap, self.plan.predictions_topic, range(PARTITIONS), count)

    def dead_letters(self, count: int) -> list[DeadLetter]:
        """This service's dead letters, once there are so many."""
        return [decode_dead_letter(record.value) for record in self.letters(count)]

    def letters(self, count: int) -> list[Any]:
        """Their records."""
        ours: Callable[[Any], bool] = lambda r: decode_dead_letter(r.value).origin.topic == self.plan.features_topic  # noqa: E731
        return read(self.bootstrap, DEAD_LETTERS.name, [0], count, ours)


def vector(
    plan: Plan, event: int, *, event_columns: Mapping[str, Any] | None = None, features: Mapping[str, Any] | None = None
) -> bytes:
    """The message of one event; ``event_columns`` and ``features`` are laid over its values."""
    columns = {"transaction_id": event, "event_time": NOON + event, "customer_id": 1, "terminal_id": 2, "amount": 12.34}
    values = {f.name: (event % 7 if "count" in f.name else event / 7) for f in plan.window_features}
    message = FeatureVector(
        event_id=event,
        event_time=NOON + event,
        plan=plan.short_digest,
        origin=Origin("transactions", event % PARTITIONS, 1000 + event),
        arrived_at=NOON + event + 5,
        complete=event % 2 == 0,
        event={**columns, **(event_columns or {})},
        features={**values, **(features or {})},
    )
    return encode(message)


def key_of(event: int) -> bytes:
    """The key of an event in `Setting.traffic`."""
    return str(event % 10).encode()


def vectors(plan: Plan, events: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """(partition, value) of plain events."""
    return ((event % PARTITIONS, vector(plan, event)) for event in events)


def read(
    bootstrap: str, topic: str, partitions: Iterable[int], count: int, wanted: Callable[[Any], bool] = lambda record: True
) -> list[Any]:
    """The topic's wanted records from the beginning, as soon as there are ``count`` and 300 ms bring no more."""
    records: list[Any] = []
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")) as consumer:
        consumer.assign([TopicPartition(topic, partition) for partition in partitions])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            polled = consumer.poll(timeout_ms=300)
            records += [r for of_one in polled.values() for r in of_one if wanted(r)]
            if len(records) >= count and not polled:
                return records
    raise AssertionError(f"{topic}: {len(records)} of {count} records came")


@contextmanager
def scoring(setting: Setting, config: ScorerConfig | None = None, metrics: ScorerMetrics | None = None) -> Iterator[None]:
    """A scorer on a thread, ready; stopped after the block. What it raises is raised here."""
    config = config or setting.config()
    stop, errors = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            run(setting.service, setting.registry, config, stop, metrics)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_until(lambda: bool(errors) or (config.ready_file is not None and config.ready_file.exists()))
        yield
    finally:
        stop.set()
        thread.join(60)
    if errors:
        raise errors[0]


@contextmanager
def scored_traffic(setting: Setting, rate: float = 500) -> Iterator[list[tuple[int, int]]]:
    """A scorer, and `Setting.traffic` for it; after the block it is stopped as soon as all that was sent has its prediction."""
    with scoring(setting):
        with setting.traffic(rate) as sent:
            yield sent
        wait_until(lambda: prediction_count(setting) >= len(sent))


def latest_ms(setting: Setting, count: int) -> int:
    """How long the slowest of the predictions came after its features."""
    return max(r.timestamp - decode_prediction(r.value).receipt.featured_at for r in setting.predictions(count))


def predicted_once(setting: Setting, events: Iterable[int]) -> None:
    """Each event has one prediction."""
    events = list(events)
    counts = Counter(decode_prediction(r.value).event_id for r in setting.predictions(len(events)))
    assert counts == Counter(events)


SCORER = """
import sys
from pathlib import Path

import msgspec

from features.definitions.load import load
from serving.kafka.config import ScorerConfig
from serving.kafka.run import run
from serving.models.registry import Registry

folder, service, models, config = sys.argv[1:]
project = load(Path(folder))
of = project.service(service.partition("-")[0])
made = msgspec.json.decode(config, type=ScorerConfig, dec_hook=lambda kind, value: kind(value))
run(msgspec.structs.replace(of, plan=msgspec.structs.replace(of.plan, service=service)), Registry(Path(models)), made)
"""


@contextmanager
def scorer_process(setting: Setting, config: ScorerConfig | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A scorer as a process of its own, ready; killed after the block if it still runs."""
    config = config or setting.config()
    assert config.ready_file is not None
    command = [sys.executable, "-c", SCORER, str(setting.project.folder), setting.plan.service, str(setting.folder)]
    command.append(msgspec.json.encode(config, enc_hook=str).decode())
    with ready_process(command, config.ready_file) as process:
        yield process


@contextmanager
def ready_process(command: Sequence[str], ready_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that says by a file that it is ready, or has ended; killed after the block if it still runs."""
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(lambda: process.poll() is not None or ready_file.exists())
        yield process
    finally:
        process.kill()
        process.wait(30)


def wait_for_predictions(setting: Setting, count: int) -> None:
    """Until there are more predictions than ``count``."""
    wait_until(lambda: prediction_count(setting) > count)


def prediction_count(setting: Setting) -> int:
    """How many predictions there are."""
    places = [TopicPartition(setting.plan.predictions_topic, partition) for partition in range(PARTITIONS)]
    with closing(KafkaConsumer(bootstrap_servers=setting.bootstrap)) as consumer:
        total: int = sum(consumer.end_offsets(places).values())
        return total
