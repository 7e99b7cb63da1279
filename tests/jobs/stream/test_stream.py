"""The stream job on a real broker and a real Flink: the values are the batch engine's, and bad input stops nothing."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.compute as pc
import pytest
from kafka import KafkaProducer

from bench.common import history_events, publish_history
from features.definitions.load import load
from features.plan import Plan
from features.service import Service
from features.times import DAY_MS
from infra.local.broker import Broker
from jobs.audit.compare import compare
from jobs.audit.ledger import ledger_of
from jobs.history.compute import compute
from jobs.ingest.publish import publish
from schemas import Origin
from tests.support.data import fraud_project
from tests.support.flink import Cluster
from tests.support.streams import (
    await_checkpoint,
    await_ready,
    await_vectors,
    dead_letters,
    embedded,
    late_rows,
    of_history,
    own_topics,
    publish_one_more,
    records,
    run_to_end,
    submitted,
    vectors,
)

pytestmark = pytest.mark.stack

StartJob = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A fraud project with more than 100,000 transactions of 60 days."""
    return load(fraud_project(tmp_path_factory.mktemp("medium"), customers=1000, terminals=2000, days=60)).service("handbook")


def test_event_time_values_are_the_batch_engines(broker: Broker, cluster: Cluster, medium: Service, tmp_path: Path) -> None:
    """In event-time mode every value of over 100,000 events equals the batch engine's, on two TaskManagers."""
    plan = own_topics(broker, medium.plan, mode="event_time")
    publish_history(broker, medium.folder, plan)
    run_to_end(broker, cluster, plan, tmp_path, parallelism=2)
    assert len(cluster.task_managers_of(plan.service)) == 2
    batch = compute(medium)
    found = vectors(broker, plan)
    parity = compare(plan, batch, found)
    assert parity.events == batch.num_rows > 100_000
    assert len({vector.event_id for vector in found}) == batch.num_rows
    assert [stage.differing for stage in parity.stages] == [0, 0], parity
    assert all(vector.complete for vector in found)
    assert dead_letters(broker, plan) == []


def test_arrival_values_differ_only_for_late_labels(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """In arrival mode customer windows equal the batch engine's; a terminal window differs only where the ledger has a label."""
    plan = own_topics(broker, small.plan)
    publish_history(broker, small.folder, plan)
    run_to_end(broker, cluster, plan, tmp_path)
    topic = plan.source("labels").topic
    labels = {Origin(topic, r.partition, r.offset): json.loads(r.value) for r in records(broker, topic)}
    ledger = ledger_of(plan, late_rows(broker, plan), labels)
    batch = compute(small)
    customers, terminals = compare(plan, batch, vectors(broker, plan), ledger).stages
    assert [stage.values for stage in (customers, terminals)] == [len(w.features) * batch.num_rows for w in plan.windows]
    assert customers.differing == 0
    assert terminals.unexplained == 0, terminals


def test_only_events_from_a_time_on_have_vectors(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """Events before that time fill the windows, so that the first vector finds them full."""
    batch = compute(small)
    times = sorted(batch["event_time"].to_pylist())
    start = times[len(times) * 3 // 4]
    plan = own_topics(broker, small.plan, mode="event_time")
    publish_history(broker, small.folder, plan)
    run_to_end(broker, cluster, plan, tmp_path, vectors_from_ms=start)
    found = vectors(broker, plan)
    expected = batch.filter(pc.greater_equal(batch["event_time"], start))
    assert {vector.event_id for vector in found} == set(expected["transaction_id"].to_pylist())
    assert [stage.differing for stage in compare(plan, batch, found).stages] == [0, 0]


def test_services_of_one_job_have_the_vectors_they_would_have_alone(
    broker: Broker, cluster: Cluster, small: Service, tmp_path: Path
) -> None:
    """Two services over one spine run in one job: each has its own windows' values, and a bad event is written once."""
    whole = own_topics(broker, small.plan, mode="event_time")
    customers, _ = whole.windows
    part = msgspec.structs.replace(customers, features=customers.features[2:4])
    limits = msgspec.structs.replace(whole, service=f"limits-{whole.service}", sources=whole.sources[:1], windows=(part,))
    broker.create_topics({limits.features_topic: 2})
    publish_history(broker, small.folder, whole)
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        producer.send(whole.spine_source.topic, value=b"not json")
        producer.flush()
    run_to_end(broker, cluster, [whole, limits], tmp_path)
    batch = compute(small)
    for plan in (whole, limits):
        found = vectors(broker, plan)
        parity = compare(plan, batch, found)
        assert parity.events == batch.num_rows == len(found)
        assert {stage.differing for stage in parity.stages} == {0}, parity
        assert {vector.plan for vector in found} == {plan.short_digest}
        assert all(vector.complete for vector in found)
    assert list(vectors(broker, limits)[0].features) == [feature.name for feature in part.features]
    assert [letter.reason for letter in dead_letters(broker, whole)] == ["not_json"]


def test_rows_kept_in_rocksdb_give_the_same_values(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """With state in RocksDB every value is the batch engine's."""
    plan = own_topics(broker, small.plan, mode="event_time")
    publish_history(broker, small.folder, plan)
    run_to_end(broker, cluster, plan, tmp_path, state_backend="rocksdb", parallelism=2)
    parity = compare(plan, compute(small), vectors(broker, plan))
    assert [stage.differing for stage in parity.stages] == [0, 0], parity


def test_a_cancelled_job_goes_on_at_another_parallelism(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """Cancelled on its cluster in mid-stream, and submitted again with 3 subtasks in place of 2, on two TaskManagers: the values
    are the batch engine's."""
    plan = stopped_and_restored(broker, small, partial(submitted, broker, cluster), tmp_path, "heap", parallelism=(2, 3))
    assert len(cluster.task_managers_of(plan.service)) == 2


def test_a_killed_job_goes_on_at_another_parallelism(broker: Broker, small: Service, tmp_path: Path) -> None:
    """Killed with its JVM, and restored with fewer subtasks; the files of its RocksDB are where they are wiped."""
    plan = stopped_and_restored(broker, small, partial(embedded, broker), tmp_path, "rocksdb", parallelism=(2, 1))
    assert len(list((tmp_path / plan.service).glob("*/working"))) == 1


def test_a_warm_up_leaves_nothing(broker: Broker, small: Service, tmp_path: Path) -> None:
    """A job that has warmed up, and says that it is ready, has written nothing; its windows then hold real rows alone."""
    plan, ready = own_topics(broker, small.plan), tmp_path / "ready"
    with embedded(broker, plan, tmp_path, bounded=False, ready_file=ready, warm_up_ms=500) as job:
        await_ready(job, ready)
        assert not list(records(broker, plan.features_topic))
        assert not late_rows(broker, plan)
        publish_history(broker, small.folder, plan)
        batch = compute(small)
        await_vectors(broker, plan, batch.num_rows)
    customers, _ = compare(plan, batch, of_history(vectors(broker, plan))).stages  # the other one has late labels
    assert customers.differing == 0
    assert not dead_letters(broker, plan)


def stopped_and_restored(
    broker: Broker, service: Service, start: StartJob, folder: Path, backend: str, parallelism: tuple[int, int]
) -> Plan:
    """Stop a job in mid-stream, go on from its checkpoint at another parallelism; every value must be the batch engine's.

    Half of the events are there at its start, a quarter comes after a checkpoint and just before the stop, the rest when it is
    down: the job has rows in its windows, rows that wait for the watermark, and records that its checkpoint does not know.
    """
    plan = own_topics(broker, service.plan, mode="event_time")
    events = list(history_events(service.folder, plan))
    half, quarter = len(events) // 2, len(events) // 4
    publish(events[:half], {"bootstrap_servers": broker.bootstrap})
    batch = compute(service)
    before, after = parallelism
    options = {"state_backend": backend, "bounded": False}
    with start(plan, folder, parallelism=before, checkpoint_interval_ms=200, **options):
        await_vectors(broker, plan, batch.num_rows // 10)
        await_checkpoint(folder, newer=True)
        publish(events[half : half + quarter], {"bootstrap_servers": broker.bootstrap})
    written = sum(1 for _ in records(broker, plan.features_topic))
    publish(events[half + quarter :], {"bootstrap_servers": broker.bootstrap})
    publish_one_more(broker, plan, later_ms=7 * DAY_MS)  # whose watermark lets the last of the others go
    with start(plan, folder, parallelism=after, **options):
        await_vectors(broker, plan, batch.num_rows)
    found = of_history(vectors(broker, plan))
    assert {vector.event_id for vector in found} == set(batch["transaction_id"].to_pylist())
    assert batch.num_rows <= len(found) < written + batch.num_rows, "it went on where the checkpoint was"
    assert [stage.differing for stage in compare(plan, batch, found).stages] == [0, 0]
    return plan


def test_a_restart_is_logged_with_its_cause(
    broker: Broker, cluster: Cluster, small: Service, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where checkpoints cannot be written any more Flink restarts the job, and the log says that it did, and why."""
    plan = own_topics(broker, small.plan)
    log, ready = "", tmp_path / "ready"
    with submitted(broker, cluster, plan, tmp_path, bounded=False, checkpoint_interval_ms=1000, ready_file=ready):
        await_checkpoint(tmp_path)
        deadline = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        (folder,) = {path.parents[1] for path in tmp_path.rglob("chk-*/_metadata")}
        folder.rename(tmp_path / "moved")
        folder.write_text("a file is where the folder was")
        while "stream.restart" not in log and time.monotonic() < deadline:
            time.sleep(0.2)
            log += capfd.readouterr().out
    restart = next(line for line in log.splitlines() if "stream.restart" in line)
    assert "restarts" in restart
    assert "no exception is known" not in restart, restart


def test_bad_input_is_dead_lettered_and_its_neighbours_have_vectors(
    broker: Broker, cluster: Cluster, small: Service, tmp_path: Path
) -> None:
    """Each kind of bad event is on dead_letters with its reason, origin and bytes; the good ones around it have vectors."""
    plan = own_topics(broker, small.plan)
    now = int(time.time() * 1000)
    good = {"transaction_id": 0, "event_time": now, "customer_id": 1, "terminal_id": 2, "amount": 10.25}
    bad: dict[bytes | None, str] = {
        None: "empty",
        b"not json": "not_json",
        random.Random(1).randbytes(1_000_000): "not_json",
        json.dumps({**good, "amount": "ten"}).encode(): "wrong_type",
        json.dumps({**good, "amount": 1.234}).encode(): "wrong_type",
        json.dumps({**good, "customer_id": None}).encode(): "missing_key",
        json.dumps({**good, "transaction_id": None}).encode(): "missing_key",
        json.dumps({k: v for k, v in good.items() if k != "event_time"}).encode(): "missing_time",
        json.dumps({**good, "event_time": now + 10**10}).encode(): "time_out_of_bounds",
        json.dumps({**good, "event_time": -1}).encode(): "time_out_of_bounds",
        json.dumps({**good, "amount": float("nan")}).encode(): "not_finite",
    }
    topic = plan.spine_source.topic
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap, max_request_size=2_000_000)) as producer:
        for number, value in enumerate(bad):
            event = {**good, "transaction_id": number, "event_time": now + number, "new": {"fields": ["are", "ignored"]}}
            producer.send(topic, value=json.dumps(event).encode(), partition=0)
            producer.send(topic, key=b"1", value=value, partition=0)
        producer.flush()
    run_to_end(broker, cluster, plan, tmp_path)
    letters = dead_letters(broker, plan)
    assert Counter(letter.reason for letter in letters) == Counter(bad.values())
    assert {letter.value: letter.reason for letter in letters} == bad
    assert {letter.origin.offset for letter in letters} == set(range(1, 2 * len(bad), 2))
    assert all(letter.detail and letter.arrived_at >= now for letter in letters)
    assert sorted(vector.event_id for vector in vectors(broker, plan)) == list(range(len(bad)))


def test_values_keep_every_digit(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """Decimals, integers beyond 2^53 and string ids come out as they went in."""
    plan = own_topics(broker, small.plan)
    event = {
        "transaction_id": 2**62 + 1,
        "event_time": 10**12,
        "customer_id": -1,
        "terminal_id": 2**60 + 1,
        "amount": 9999999999.99,
    }
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        producer.send(plan.spine_source.topic, value=json.dumps(event).encode())
        producer.flush()
    run_to_end(broker, cluster, plan, tmp_path)
    (vector,) = vectors(broker, plan)
    assert vector.event == event
    assert vector.event_id == event["transaction_id"]
    assert vector.features["customer_spend__mean_1d"] == 9999999999.99
    assert msgspec.json.encode(vector.origin) == msgspec.json.encode(
        {"topic": plan.spine_source.topic, "partition": vector.origin.partition, "offset": 0}
    )
