"""Outcomes on a real Flink: the last record of each event is what the join over files says, whatever order things come in."""

from __future__ import annotations

import json
import random
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from features.outcomes import LATENESS_MS, OutcomesPlan, outcomes_plan
from features.plan import ColumnType
from features.service import Service
from infra.config import stream_config
from infra.local.broker import Broker
from infra.settings import StreamSettings
from jobs.history.labels import check_label
from jobs.history.served import Record
from jobs.outcomes.join import join
from jobs.stream.config import StreamConfig
from schemas import Outcome, Prediction, Receipt
from schemas.codec import decode_dead_letter, decode_outcome, encode
from schemas.topics import DEAD_LETTERS, outcomes
from tests.support.flink import Cluster
from tests.support.num import T, num_project
from tests.support.streams import PARTITIONS, Submitted, await_checkpoint, in_process, records
from tests.support.waits import wait_until

pytestmark = pytest.mark.stack

HOUR = 3_600_000
HORIZON = 30 * HOUR
DISORDER = 20 * HOUR
"""Less than the lateness: how far records are behind those of later times."""
CHECKPOINT_MS = 10_000
EVENTS = 300
HOURS = 240


class Sent(NamedTuple):
    """A record to be sent: of an event, at its own time."""

    event: int
    at: int
    value: bytes | None


class Label(NamedTuple):
    """A row of the labels' source; null: it says nothing as yet."""

    event: int
    at: int
    bad: int | None

    @property
    def sent(self) -> Sent:
        """As its source has it."""
        return Sent(self.event, self.at, json.dumps({"id": self.event, "at": self.at, "bad": self.bad, "more": [1]}).encode())


class World(NamedTuple):
    """A service with topics of its own."""

    service: Service
    plan: OutcomesPlan
    broker: Broker
    folder: Path

    def send(self, predictions: list[Sent], labels: list[Sent]) -> None:
        """All of them, each by the key of its event and so on one partition, some of both at a time."""
        with closing(KafkaProducer(bootstrap_servers=self.broker.bootstrap)) as producer:
            for start in range(0, max(len(predictions), len(labels)), 50):
                for topic, some in ((self.plan.predictions.topic, predictions), (self.plan.labels.topic, labels)):
                    for one in some[start : start + 50]:
                        producer.send(topic, one.value, key=f"k{one.event}".encode(), partition=one.event % PARTITIONS)

    def outcomes(self) -> list[Outcome]:
        """All on the topic, by partition in their order; each has its event's key."""
        found = list(records(self.broker, outcomes(self.plan.service).name))
        decoded = [decode_outcome(record.value) for record in found]
        assert [record.key.decode() for record in found] == [str(one.event_id) for one in decoded]
        return decoded

    def last(self) -> dict[str, Outcome]:
        """The last of each event."""
        return {str(one.event_id): one for one in self.outcomes()}

    def batch(self, predictions: list[Sent], labels: list[Label]) -> dict[str, dict[str, Any]]:
        """What the join over files says of the same records, in the order in which they were sent."""
        place, known = self.folder / "labels.parquet", [label for label in labels if label.bad is not None]
        at = pa.array([datetime.fromtimestamp(label.at / 1000, UTC) for label in known], pa.timestamp("ms", tz="UTC"))
        columns = {"id": pa.array([label.event for label in known], pa.int64()), "at": at}
        pq.write_table(pa.table(columns | {"bad": pa.array([label.bad for label in known], pa.int64())}), place)
        sent = [Record(f"event {one.event}", one.value) for one in predictions if one.value]
        found = join(self.service, sent, "outcomes.bad", self.plan.horizon_ms, histories={"outcomes": str(place)})
        return {row["event_id"]: row for row in found.table.to_pylist()}

    def config(self, cluster: str | None, *, bounded: bool = True, state_backend: str = "heap") -> StreamConfig:
        """What the job is started with."""
        section = StreamSettings(
            cluster=cluster,
            checkpoint_interval_ms=CHECKPOINT_MS,
            parallelism=2,
            idle_timeout_ms=60_000,
            state_backend=state_backend,
        )
        return stream_config(section, bootstrap=self.broker.bootstrap, checkpoints=self.folder / "checkpoints", bounded=bounded)


@pytest.fixture(scope="module")
def num(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The service that the worlds are made of."""
    return load(num_project(tmp_path_factory.mktemp("outcomes") / "num")).service("num")


@pytest.fixture
def world(broker: Broker, num: Service, tmp_path: Path) -> World:
    """A service called by a name of its own."""
    return world_of(broker, num, tmp_path)


def world_of(broker: Broker, num: Service, folder: Path) -> World:
    """The world of a service whose label has a topic of its own."""
    mark = uuid.uuid4().hex[:8]
    plan = msgspec.structs.replace(num.plan, service=f"num-{mark}")
    source, label = check_label(num, "outcomes.bad")
    source = msgspec.structs.replace(source, topic=f"labels-{mark}")
    joined = outcomes_plan(plan, source, label, HORIZON)
    names = (joined.predictions.topic, joined.labels.topic, outcomes(plan.service).name)
    broker.create_topics(dict.fromkeys(names, PARTITIONS))
    broker.create_topics({DEAD_LETTERS.name: DEAD_LETTERS.partitions}, DEAD_LETTERS.config)
    return World(num, joined, broker, folder)


def prediction(event: int, at: int, score: float = 0.5, version: int = 1) -> Sent:
    """A prediction as the scorer writes it."""
    receipt = Receipt(None, f"{event:012x}", "num", version, "0" * 64, {"x": 1.5}, {"y": 1}, event % 2 == 0, at, at, at + 5)
    return Sent(event, at, encode(Prediction(event, at, score, receipt)))


def random_records(chance: random.Random) -> tuple[list[Sent], list[Label]]:
    """Predictions and labels of ten days, out of order: repeats, tombstones, labels twice, changed, of one time, of no event."""
    predictions, labels = [], []
    for event in range(EVENTS):
        at = T + chance.randrange(HOURS) * HOUR
        times = 0 if chance.random() < 0.05 else chance.choice((1, 1, 1, 2, 3))
        predictions += [prediction(event, at, chance.random(), version) for version in range(1, times + 1)]
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 5))):
            near = at + chance.randint(-34, 34) * HOUR
            labels += [Label(event, near, chance.choice((0, 1, 1, None)))] * chance.choice((1, 1, 2))
    predictions += [Sent(event, T + event * HOUR, None) for event in range(3)]

    def disorder(records: list[Any]) -> list[Any]:
        return sorted(records, key=lambda one: one.at + chance.random() * DISORDER)

    return disorder(predictions), disorder(labels)


def assert_equal(found: dict[str, Outcome], expected: dict[str, dict[str, Any]]) -> None:
    """Value for value, and what the join over files does not know: the key, and the plan's digest of the first prediction."""
    assert found.keys() == expected.keys()
    for event, row in expected.items():
        outcome = found[event]
        said = {name: getattr(outcome, name) for name in row if name != "event_id"}
        assert said == {name: value for name, value in row.items() if name != "event_id"}, event
        assert (outcome.event_id, outcome.key) == (int(event), f"k{event}")
        assert outcome.plan == f"{int(event):012x}"


@pytest.mark.parametrize("backend", ["heap", "rocksdb"])
def test_the_last_record_of_an_event_is_what_the_join_over_files_says(world: World, cluster: Cluster, backend: str) -> None:
    """Of hundreds of events whose predictions and labels come in random orders, twice, changed and too late to count."""
    predictions, labels = random_records(random.Random(backend))
    world.send(predictions, [label.sent for label in labels])
    Submitted(world.plan, world.config(cluster.rest, state_backend=backend)).join()
    expected = world.batch(predictions, labels)
    assert_equal(world.last(), expected)
    assert any(row["labels"] > 2 for row in expected.values())
    assert any(row["label"] is None for row in expected.values())


def test_a_kill_changes_no_outcome(world: World, cluster: Cluster) -> None:
    """kill -9 after a checkpoint, in mid-stream: what was written since is written again, and in the end all is as it should.

    The plan that it goes on with may be one that reads the labels, and writes their dead letters.
    """
    predictions, labels = random_records(random.Random(7))
    sent = [label.sent for label in labels]
    first, second = len(predictions) // 3, 2 * len(predictions) // 3
    rarely = msgspec.structs.replace(world.config(None, bounded=False), checkpoint_interval_ms=30_000)
    with in_process(world.plan, rarely):  # the next checkpoint would be after the kill
        world.send(predictions[:first], sent[:first])
        await_checkpoint(world.folder, seconds=180)  # a JVM starts first
        before = len(world.outcomes())
        world.send(predictions[first:second], sent[first:second])
        wait_until(lambda: len(world.outcomes()) > before + first // 2)
    world.send(predictions[second:], sent[second:])
    expected = world.batch(predictions, labels)
    plan = msgspec.structs.replace(world.plan, has_dead_letters=not world.plan.has_dead_letters)
    job = Submitted(plan, world.config(cluster.rest, bounded=False))
    counted = {event: row["labels"] for event, row in expected.items()}
    try:
        wait_until(lambda: _labels(world.last()) == counted or not job.is_alive(), seconds=300)
    finally:
        job.stop()
        cluster.await_no_job()
    assert_equal(world.last(), expected)
    written = [encode(outcome) for outcome in world.outcomes()]
    assert len(written) > len(set(written)), "what was written since the checkpoint is written again"


def test_an_event_is_forgotten_after_horizon_and_lateness(world: World, cluster: Cluster) -> None:
    """Its state is gone: neither a repeat of its prediction nor a label makes a record; what is newer has its outcomes."""
    later = T + HORIZON + LATENESS_MS + 2 * HOUR
    job = Submitted(world.plan, world.config(cluster.rest, bounded=False))
    try:
        world.send([prediction(2, T), prediction(4, T + 3 * HOUR)], [Label(2, T + HOUR, 1).sent])
        wait_until(lambda: _labels(world.last()) == {"2": 1, "4": 0})
        world.send([prediction(5, later), prediction(6, later)], [Label(5, later, 1).sent, Label(6, later, 1).sent])
        wait_until(lambda: _labels(world.last()) == {"2": 1, "4": 0, "5": 1, "6": 1})
        time.sleep(2)  # until the watermark, which goes on five times a second, has come to the state
        world.send([prediction(2, T, 0.1)], [Label(2, T + HOUR, 0).sent, Label(4, T + 4 * HOUR, 1).sent])
        world.send([prediction(8, later)], [Label(8, later, 0).sent])
        wait_until(lambda: _labels(world.last()).get("8") == 1)
    finally:
        job.stop()
        cluster.await_no_job()
    last = world.last()
    assert (last["2"].score, last["2"].label, last["2"].labels) == (0.5, 1.0, 1)
    assert (last["4"].label, last["4"].labels) == (1.0, 1), "its time is not yet over, two hours before the newest"


@pytest.mark.parametrize("has_dead_letters", [False, True])
def test_what_cannot_be_read_is_a_dead_letter(world: World, cluster: Cluster, has_dead_letters: bool) -> None:
    """One of ours where no other job reads the labels' topic; a label that is null says nothing, and is none."""
    world = world._replace(plan=msgspec.structs.replace(world.plan, has_dead_letters=has_dead_letters))
    bad = [Sent(1, T, b'{"id": 1}'), Sent(1, T, b'{"id": 1, "at": 1, "bad": "x"}'), Sent(1, T, b'{"at": 1, "bad": 1}')]
    world.send([prediction(1, T), Sent(1, T, b'{"event_id": 1, "event_time": 1}')], [*bad, Label(1, T, None).sent])
    Submitted(world.plan, world.config(cluster.rest)).join()
    assert _labels(world.last()) == {"1": 0}
    letters = [decode_dead_letter(record.value) for record in records(world.broker, DEAD_LETTERS.name)]
    found = {
        topic: [one.reason for one in letters if one.origin.topic == topic] for topic in {s.topic for s in world.plan.sources}
    }
    ours = [] if has_dead_letters else ["missing_time", "wrong_type", "missing_key"]
    assert found == {world.plan.predictions.topic: ["missing_key"], world.plan.labels.topic: ours}


@pytest.mark.parametrize(
    ("kind", "values", "labels"),
    [
        (ColumnType("bool"), ["true", "false"], [1.0, 0.0]),
        (ColumnType("decimal", 18, 2), ["1234567890123.45", "-0.1"], [1234567890123.45, -0.1]),
    ],
    ids=["bool", "decimal"],
)
def test_a_label_is_any_number(world: World, cluster: Cluster, kind: ColumnType, values: list[str], labels: list[float]) -> None:
    """A truth is 1 or 0; a decimal is the double that is nearest."""
    columns = tuple(msgspec.structs.replace(c, type=kind) if c.name == "bad" else c for c in world.plan.labels.columns)
    source = msgspec.structs.replace(world.plan.labels, columns=columns)
    world = world._replace(plan=msgspec.structs.replace(world.plan, labels=source))
    sent = [Sent(event, T, f'{{"id": {event}, "at": {T}, "bad": {value}}}'.encode()) for event, value in enumerate(values)]
    world.send([prediction(event, T) for event, _ in enumerate(values)], sent)
    Submitted(world.plan, world.config(cluster.rest)).join()
    assert [outcome.label for _, outcome in sorted(world.last().items())] == labels


def _labels(found: dict[str, Outcome]) -> dict[str, int]:
    return {event: outcome.labels for event, outcome in found.items()}
