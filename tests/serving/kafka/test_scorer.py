"""The scorer on a real broker: one prediction for each event, on the partition of its features, with a receipt that holds."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from features.definitions.load import Project, load
from features.errors import DefinitionError, SettingError, StackError
from features.plan import Plan
from features.service import Service
from infra.config import scorer_config
from infra.local.broker import Broker
from infra.settings import ScorerSettings
from schemas import DeadLetter, FeatureVector, Origin, Prediction
from schemas.codec import decode_dead_letter, decode_prediction, encode
from schemas.topics import DEAD_LETTER_VALUE_BYTES, DEAD_LETTERS
from serving.kafka.scorer import ScorerConfig, load_predictor, run
from serving.models.registry import Registry, load_session, scores
from tests.support.models import stumps

ROOT = Path(__file__).parents[3]
PARTITIONS = 2
NOON = 1_533_038_400_000
DAY = datetime(2018, 7, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The fraud example, with two customers' rows in its online store."""
    from feast import FeatureStore
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    folder = tmp_path_factory.mktemp("project") / "fraud"
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
        broker.create_topics({DEAD_LETTERS.name: 1})
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
        return scorer_config(section, self.plan.service, client=client, registry=self.folder, ready_file=ready)

    def send(self, records: Iterable[tuple[int, bytes | None]], key: bytes = b"key") -> None:
        """Write (partition, value) pairs to the features topic."""
        with closing(KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5)) as producer:
            for partition, value in records:
                producer.send(self.plan.features_topic, value=value, key=key, partition=partition)
            producer.flush()

    def predictions(self, count: int) -> list[Any]:
        """The records of the predictions topic, once there are as many as ``count``, and a moment for more to come."""
        return read(self.bootstrap, self.plan.predictions_topic, range(PARTITIONS), count)

    def dead_letters(self, count: int) -> list[DeadLetter]:
        """This service's dead letters, once there are so many."""
        ours: Callable[[Any], bool] = lambda r: decode_dead_letter(r.value).origin.topic == self.plan.features_topic  # noqa: E731
        return [decode_dead_letter(r.value) for r in read(self.bootstrap, DEAD_LETTERS.name, [0], count, ours)]


@pytest.fixture
def handbook(broker: Broker, project: Project, tmp_path: Path) -> Setting:
    """A service of windows and on-demand functions alone."""
    return Setting(broker, project, "handbook", tmp_path)


@pytest.fixture
def fraud(broker: Broker, project: Project, tmp_path: Path) -> Setting:
    """A service with a batch view."""
    return Setting(broker, project, "fraud", tmp_path)


def register(folder: Path, plan: Plan, onnx: bytes, *, inputs: tuple[str, ...] | None = None, digest: str | None = None) -> None:
    """Put a model into production that was trained on the plan, or on another with that digest."""
    registry = Registry(folder)
    manifest = registry.register(
        onnx,
        name=plan.service,
        service=plan.service,
        inputs=inputs or plan.inputs,
        plan=digest or plan.digest,
        trained_from=0,
        trained_until=1,
        metrics={},
        created_at=2,
    )
    registry.set_alias(manifest.name, "production", manifest.version)


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
def scoring(setting: Setting, config: ScorerConfig | None = None) -> Iterator[None]:
    """A scorer on a thread, ready; stopped after the block. What it raises is raised here."""
    config = config or setting.config()
    stop, errors = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            run(setting.service, config, stop)
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


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Poll ``condition`` until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def answered_once(setting: Setting, events: Iterable[int]) -> None:
    """Each event has one prediction."""
    events = list(events)
    counts = Counter(decode_prediction(r.value).event_id for r in setting.predictions(len(events)))
    assert counts == Counter(events)


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
    session = load_session(model)
    for record in records:
        prediction: Prediction = decode_prediction(record.value)
        receipt, event = prediction.receipt, prediction.event_id
        assert isinstance(event, int)
        assert tuple(receipt.inputs) == handbook.plan.inputs
        x = np.array([[receipt.inputs[name] for name in model.manifest.inputs]], np.float32)
        assert prediction.score == float(scores(session, x)[0])
        assert prediction.event_time == NOON + event
        assert receipt.origin == Origin("transactions", event % PARTITIONS, 1000 + event)
        assert (receipt.model, receipt.version, receipt.sha256) == (handbook.plan.service, 1, model.manifest.sha256)
        assert (receipt.plan, receipt.complete) == (handbook.plan.short_digest, event % 2 == 0)
        assert receipt.arrived_at == NOON + event + 5
        assert before <= receipt.featured_at <= receipt.scored_at <= record.timestamp
        assert receipt.inputs["customer_spend__mean_7d"] == event / 7
        assert receipt.inputs["transaction_amount__amount"] == 12.34


@pytest.mark.stack
def test_repeat_is_dropped(handbook: Setting) -> None:
    """An event that comes twice, as after a restart of Flink, is answered once."""
    handbook.send(vectors(handbook.plan, [*range(30), *range(10, 40)]))
    with scoring(handbook):
        answered_once(handbook, range(40))


@pytest.mark.stack
def test_repeat_is_dropped_by_the_next_scorer(handbook: Setting) -> None:
    """What a scorer before answered is read back from the predictions."""
    handbook.send(vectors(handbook.plan, range(30)))
    with scoring(handbook):
        handbook.predictions(30)
    handbook.send(vectors(handbook.plan, range(35)))
    with scoring(handbook):
        answered_once(handbook, range(35))


@pytest.mark.stack
def test_offsets_are_not_what_keeps_answers_single(handbook: Setting) -> None:
    """A group without offsets starts at the beginning, and answers only what is new."""
    handbook.send(vectors(handbook.plan, range(30)))
    with scoring(handbook, msgspec.structs.replace(handbook.config(), group=f"first-{handbook.plan.service}")):
        handbook.predictions(30)
    with scoring(handbook, msgspec.structs.replace(handbook.config(), group=f"second-{handbook.plan.service}")):
        handbook.send(vectors(handbook.plan, [30]))
        answered_once(handbook, range(31))


SCORER = """
import sys
from pathlib import Path

import msgspec

from features.definitions.load import load
from serving.kafka.scorer import ScorerConfig, run

folder, service, config = sys.argv[1:]
project = load(Path(folder))
of = project.service(service.partition("-")[0])
made = msgspec.json.decode(config, type=ScorerConfig, dec_hook=lambda kind, value: kind(value))
run(msgspec.structs.replace(of, plan=msgspec.structs.replace(of.plan, service=service)), made)
"""


@contextmanager
def scorer_process(setting: Setting) -> Iterator[subprocess.Popen[bytes]]:
    """A scorer as a process of its own, ready; killed after the block if it still runs."""
    config = setting.config()
    assert config.ready_file is not None
    command = [sys.executable, "-c", SCORER, str(setting.project.folder), setting.plan.service]
    command.append(msgspec.json.encode(config, enc_hook=str).decode())
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(lambda: process.poll() is not None or config.ready_file.exists())  # type: ignore[union-attr]
        yield process
    finally:
        process.kill()
        process.wait(30)


@pytest.mark.stack
def test_killed_in_mid_stream_every_event_is_answered_once(handbook: Setting) -> None:
    """After kill -9 and a restart nothing is lost and nothing is answered twice, though Flink repeats some."""
    events = 40_000
    handbook.send(vectors(handbook.plan, range(events)))
    for share in (0.1, 0.5):
        with scorer_process(handbook) as process:
            wait_for_answers(handbook, int(share * events))
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        assert answers(handbook) < events, "it was done before it was killed: send more events"
        handbook.send(vectors(handbook.plan, range(events // 10)))
    began = time.monotonic()
    with scorer_process(handbook) as process:
        answered_once(handbook, range(events))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert time.monotonic() - began < 60


def wait_for_answers(setting: Setting, count: int) -> None:
    """Until there are more predictions than ``count``."""
    wait_until(lambda: answers(setting) > count)


def answers(setting: Setting) -> int:
    """How many predictions there are."""
    places = [TopicPartition(setting.plan.predictions_topic, partition) for partition in range(PARTITIONS)]
    with closing(KafkaConsumer(bootstrap_servers=setting.bootstrap)) as consumer:
        total: int = sum(consumer.end_offsets(places).values())
        return total


@pytest.mark.stack
def test_second_scorer_shares_the_work(handbook: Setting) -> None:
    """A scorer that joins in mid-stream takes partitions over; every event is answered once all the same."""
    handbook.send(vectors(handbook.plan, range(20_000)))
    with scoring(handbook, handbook.config(instance="0")), scoring(handbook, handbook.config(instance="1")):
        handbook.send(vectors(handbook.plan, range(20_000, 24_000)))
        answered_once(handbook, range(24_000))


@pytest.mark.stack
def test_instance_that_is_started_twice_ends_the_first(handbook: Setting) -> None:
    """Two processes under one instance id: the newer goes on, the older says why it ends."""
    older = scoring(handbook)
    older.__enter__()
    handbook.send(vectors(handbook.plan, range(10_000)))
    with scoring(handbook):
        handbook.send(vectors(handbook.plan, range(10_000, 10_010)))
        answered_once(handbook, range(10_010))
        with pytest.raises(StackError, match="instance '0'"):
            older.__exit__(None, None, None)


@pytest.mark.stack
def test_bad_record_goes_to_dead_letters_and_its_neighbours_are_answered(handbook: Setting) -> None:
    """A dead letter has the reason, the record's place and its bytes; one bad record costs its neighbours nothing."""
    plan = handbook.plan
    another = msgspec.structs.replace(plan, lateness_ms=plan.lateness_ms + 1)
    bad: dict[str, bytes | None] = {
        "malformed": b"{not json",
        "no value": None,
        "plan": vector(another, 100),
        "customer_spend__mean_7d": without(vector(plan, 101), "features", "customer_spend__mean_7d"),
        "float": vector(plan, 102, event_columns={"amount": "much"}),
        "TypeError": vector(plan, 103, event_columns={"amount": None}),  # the on-demand function refuses null
        "Int64": vector(plan, 104, features={"terminal_risk__count_1d": 2**63}),
    }
    good = [vector(plan, event) for event in range(8)]
    woven = [value for pair in zip(good, [*bad.values(), None], strict=True) for value in pair][:-1]
    handbook.send([(0, value) for value in woven])
    with scoring(handbook):
        answered_once(handbook, range(8))
        letters = sorted(handbook.dead_letters(len(bad)), key=lambda letter: letter.origin.offset)
    assert [(letter.reason, letter.origin, letter.value) for letter in letters] == [
        ("unscorable", Origin(plan.features_topic, 0, 2 * i + 1), value) for i, value in enumerate(bad.values())
    ]
    details = [letter.detail for letter in letters]
    assert "JSON is malformed" in details[0]
    assert "no value" in details[1]
    assert another.short_digest in details[2]
    assert "customer_spend__mean_7d" in details[3]
    assert "float" in details[4]
    assert "TypeError" in details[5]
    assert "int" in details[6]


@pytest.mark.stack
def test_bad_record_too_long_for_a_dead_letter_is_told_without_its_bytes(handbook: Setting) -> None:
    """It must not stop the scorer."""
    handbook.send([(0, b"x" * (DEAD_LETTER_VALUE_BYTES + 1)), (0, vector(handbook.plan, 0))])
    with scoring(handbook):
        answered_once(handbook, [0])
        (letter,) = handbook.dead_letters(1)
    assert letter.value is None
    assert f"its {DEAD_LETTER_VALUE_BYTES + 1} bytes are left out" in letter.detail


def without(value: bytes, group: str, name: str) -> bytes:
    """The message less one of its values."""
    message = msgspec.json.decode(value)
    del message[group][name]
    return msgspec.json.encode(message)


@pytest.mark.stack
def test_null_is_nan_to_the_model(handbook: Setting) -> None:
    """A null feature is null in the receipt, and NaN in the vector that is scored."""
    names = ("customer_spend__mean_1d", "terminal_risk__mean_30d")
    handbook.send([(0, vector(handbook.plan, 1, features=dict.fromkeys(names)))])
    with scoring(handbook):
        prediction = decode_prediction(handbook.predictions(1)[0].value)
    assert [prediction.receipt.inputs[name] for name in names] == [None, None]
    session = load_session(Registry(handbook.folder).get(handbook.plan.service, 1))
    x = np.array([[np.nan if v is None else v for v in prediction.receipt.inputs.values()]], np.float32)
    assert prediction.score == float(scores(session, x)[0])
    assert prediction.score != float(scores(session, np.nan_to_num(x))[0])


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


@pytest.mark.stack
def test_answer_that_kafka_refuses_is_fatal(broker: Broker, handbook: Setting) -> None:
    """No event is skipped: the scorer ends, and its offset is not committed, so that the next one answers it."""
    refusing = msgspec.structs.replace(handbook.plan, service=f"{handbook.plan.service}-refusing")
    register(handbook.folder, refusing, stumps([0.0] * len(refusing.inputs)))
    broker.create_topics({refusing.features_topic: PARTITIONS})
    broker.create_topics({refusing.predictions_topic: PARTITIONS}, {"max.message.bytes": "100"})
    handbook.plan = refusing
    handbook.send(vectors(refusing, range(3)))
    with pytest.raises(StackError, match="Kafka did not take one"), scoring(handbook):
        time.sleep(2)
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=f"headrace.scorer.{refusing.service}")) as consumer:
        committed = [consumer.committed(TopicPartition(refusing.features_topic, partition)) for partition in range(PARTITIONS)]
    assert set(committed) <= {None, 0}


@pytest.mark.stack
def test_missing_topic_is_refused(handbook: Setting) -> None:
    """The scorer makes no topics; it says which are missing."""
    handbook.plan = msgspec.structs.replace(handbook.plan, service="topicless")
    register(handbook.folder, handbook.plan, stumps([0.0] * len(handbook.plan.inputs)))
    with pytest.raises(SettingError, match=r"features\.topicless"), scoring(handbook):
        pass


@pytest.mark.stack
def test_predictions_topic_with_fewer_partitions_is_refused(broker: Broker, handbook: Setting) -> None:
    """Every partition of the features needs its own among the predictions."""
    handbook.plan = msgspec.structs.replace(handbook.plan, service=f"{handbook.plan.service}-narrow")
    broker.create_topics({handbook.plan.features_topic: 2, handbook.plan.predictions_topic: 1})
    register(handbook.folder, handbook.plan, stumps([0.0] * len(handbook.plan.inputs)))
    with pytest.raises(SettingError, match="2 partitions"), scoring(handbook):
        pass


@pytest.mark.core
def test_model_of_another_plan_is_refused(project: Project, tmp_path: Path) -> None:
    """A model whose training set came from other definitions is not served."""
    service = project.service("handbook")
    plan = service.plan
    register(tmp_path, plan, stumps([0.0] * len(plan.inputs)), digest="0" * 64)
    with pytest.raises(SettingError, match="trained on plan 000000000000"):
        load_predictor(service, scorer_config(ScorerSettings(), service.name, client={}, registry=tmp_path))


@pytest.mark.core
def test_model_with_an_input_that_the_plan_lacks_is_refused(project: Project, tmp_path: Path) -> None:
    """The plan has to give every input of the model."""
    service = project.service("handbook")
    plan = service.plan
    register(tmp_path, plan, stumps([0.0]), inputs=("customer_spend__mean_365d",))
    with pytest.raises(DefinitionError, match="customer_spend__mean_365d"):
        load_predictor(service, scorer_config(ScorerSettings(), service.name, client={}, registry=tmp_path))
