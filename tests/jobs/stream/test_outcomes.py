"""Outcomes on a real Flink: the last record of each event is what the join over files says, whatever order things come in."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from features.outcomes import LATENESS_MS, OutcomesPlan, outcomes_plan
from features.service import Service
from infra.config import stream_config
from infra.local.broker import Broker
from infra.settings import StreamSettings
from jobs.history.labels import check_label
from jobs.history.served import Record
from jobs.outcomes.join import join
from jobs.stream.config import StreamConfig
from jobs.stream.job import run
from schemas import Outcome, Prediction, Receipt
from schemas.codec import decode_dead_letter, decode_outcome, encode
from schemas.topics import DEAD_LETTERS, outcomes
from tests.support.flink import Cluster
from tests.support.num import T, num_project
from tests.support.streams import PARTITIONS, Submitted, await_checkpoint, records

pytestmark = pytest.mark.stack

HOUR = 3_600_000
HORIZON = 30 * HOUR
DISORDER = 20 * HOUR
"""Less than the lateness: how far records are behind those of later times."""
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

    def config(self, *, cluster: str | None = None, bounded: bool = True, ready_file: Path | None = None) -> StreamConfig:
        """What the job is started with."""
        section = StreamSettings(cluster=cluster, checkpoint_interval_ms=500, parallelism=2, idle_timeout_ms=60_000)
        return stream_config(
            section,
            bootstrap=self.broker.bootstrap,
            checkpoints=self.folder / "checkpoints",
            bounded=bounded,
            ready_file=ready_file,
        )


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


def assert_equal(found: dict[str, Outcome], expected: dict[str, dict[str, Any]], predictions: list[Sent]) -> None:
    """Value for value, and what the join over files does not know: the key, and the plan's digest of the first prediction."""
    assert found.keys() == expected.keys()
    for event, row in expected.items():
        outcome = found[event]
        said = {name: getattr(outcome, name) for name in row if name != "event_id"}
        assert said == {name: value for name, value in row.items() if name != "event_id"}, event
        assert (outcome.event_id, outcome.key) == (int(event), f"k{event}")
        assert outcome.plan == f"{int(event):012x}"


@pytest.mark.parametrize("seed", range(2))
def test_the_last_record_of_an_event_is_what_the_join_over_files_says(world: World, cluster: Cluster, seed: int) -> None:
    """Of hundreds of events whose predictions and labels come in random orders, twice, changed and too late to count."""
    predictions, labels = random_records(random.Random(seed))
    world.send(predictions, [label.sent for label in labels])
    job = Submitted(world.plan, world.config(cluster=cluster.rest))
    job.join()
    expected = world.batch(predictions, labels)
    assert_equal(world.last(), expected, predictions)
    assert any(row["labels"] > 2 for row in expected.values())
    assert any(row["label"] is None for row in expected.values())
