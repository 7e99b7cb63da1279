"""The stream job in tests: on a real broker and a real Flink, over topics of the test's own."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec
import psutil
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from bench.common import polled
from features.job import JobPlan, job_plan
from features.outcomes import AnyJob
from features.plan import Plan
from infra.config import stream_config
from infra.local.broker import Broker
from infra.local.topics import longest_records
from infra.settings import StreamSettings
from jobs.stream.config import StreamConfig
from jobs.stream.job import run
from schemas import DeadLetter, FeatureVector, LateRow
from schemas.codec import decode_dead_letter, decode_features, decode_late_row
from schemas.topics import DEAD_LETTERS, LATE_ROWS
from tests.support.flink import Cluster

PARTITIONS = 2
END_SECONDS = 240


def own_topics(
    broker: Broker,
    plan: Plan,
    *,
    source: Mapping[str, str] | None = None,
    features: Mapping[str, str] | None = None,
    predictions: Mapping[str, str] | None = None,
    **changes: Any,
) -> Plan:
    """``plan`` with topics of its own, made on the broker, so that tests don't meet; the topics' settings are Kafka's."""
    mark = uuid.uuid4().hex[:8]
    sources = tuple(msgspec.structs.replace(s, topic=f"{s.topic}-{mark}") for s in plan.sources)
    plan = msgspec.structs.replace(plan, service=f"{plan.service}-{mark}", sources=sources, **changes)
    broker.create_topics({one.topic: PARTITIONS for one in sources}, source)
    broker.create_topics({plan.features_topic: PARTITIONS}, features)
    broker.create_topics({plan.predictions_topic: PARTITIONS}, predictions)
    for shared in (DEAD_LETTERS, LATE_ROWS):
        broker.create_topics({shared.name: shared.partitions}, shared.config)
    return plan


class Submitted:
    """A job on a cluster, watched by a thread of this process."""

    def __init__(self, job: AnyJob, config: StreamConfig) -> None:
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(job, config), daemon=True)
        self._thread.start()

    def _run(self, job: AnyJob, config: StreamConfig) -> None:
        try:
            run(job, config, self._stop)
        except BaseException as failure:  # raised again in the test's own thread
            self._failures.append(failure)

    def is_alive(self) -> bool:
        """Whether the job runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Cancel the job, where it has not ended."""
        self._stop.set()
        self.join()

    def join(self) -> None:
        """Return when the job has ended; raise what it failed for."""
        self._thread.join(END_SECONDS)
        assert not self.is_alive(), f"the stream job did not end in {END_SECONDS} s"
        if self._failures:
            raise self._failures[0]


@contextmanager
def submitted(
    broker: Broker, cluster: Cluster, plans: Plan | Sequence[Plan], folder: Path, **changes: Any
) -> Iterator[Submitted]:
    """The one job of ``plans`` on the tests' cluster, over what the topics hold; cancelled after the block."""
    job = Submitted(_job(plans), config_of(broker, plans, folder, cluster=cluster.rest, **changes))
    try:
        yield job
    finally:
        job.stop()
        cluster.await_no_job()


@contextmanager
def embedded(broker: Broker, plans: Plan | Sequence[Plan], folder: Path, **changes: Any) -> Iterator[BaseProcess]:
    """The one job of ``plans`` in a process and a JVM of its own; both are killed after the block."""
    with in_process(_job(plans), config_of(broker, plans, folder, **changes)) as process:
        yield process


@contextmanager
def in_process(job: AnyJob, config: StreamConfig) -> Iterator[BaseProcess]:
    """A job in a process and a JVM of its own; both are killed after the block."""
    process = multiprocessing.get_context("spawn").Process(target=run, args=(job, config))
    process.start()
    try:
        yield process
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.is_alive() else []
        for member in (process, *family):
            member.kill()
        process.join()


def await_ready(process: BaseProcess, ready: Path) -> None:
    """Return once the job of a process has said in a file that it is ready."""
    while not ready.exists():
        assert process.is_alive()
        time.sleep(0.1)


def run_to_end(broker: Broker, cluster: Cluster, plans: Plan | Sequence[Plan], folder: Path, **changes: Any) -> None:
    """The one job of ``plans`` on the tests' cluster, until it has read the topics to the end."""
    with submitted(broker, cluster, plans, folder, **changes) as job:
        job.join()


def _job(plans: Plan | Sequence[Plan]) -> JobPlan:
    return job_plan([plans] if isinstance(plans, Plan) else plans)


def config_of(
    broker: Broker,
    plans: Plan | Sequence[Plan],
    folder: Path,
    *,
    bounded: bool = True,
    ready_file: Path | None = None,
    **changes: Any,
) -> StreamConfig:
    """What the job of ``plans`` is started with, its state below ``folder``; ``changes`` are of its settings."""
    section, address = StreamSettings(**changes), broker.bootstrap
    topics = [DEAD_LETTERS.name, *(plan.features_topic for plan in _job(plans).plans)]
    longest = longest_records({"bootstrap_servers": [address]}, topics)
    return stream_config(section, bootstrap=address, checkpoints=folder, longest=longest, bounded=bounded, ready_file=ready_file)


def publish_one_more(broker: Broker, plan: Plan, later_ms: int) -> None:
    """On each partition of the sources, the last event again, with an id of its own, so much later."""
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for number, source in enumerate(plan.sources):
            last = {record.partition: record for record in records(broker, source.topic)}
            for partition, record in last.items():
                event = json.loads(record.value)
                event |= {source.event_id: -1 - number * PARTITIONS - partition, source.time: event[source.time] + later_ms}
                producer.send(source.topic, key=record.key, value=json.dumps(event).encode(), partition=partition)


def of_history(found: Iterable[FeatureVector]) -> list[FeatureVector]:
    """The vectors of all events but those of `publish_one_more`."""
    return [vector for vector in found if vector.event_id >= 0]


def await_vectors(broker: Broker, plan: Plan, number: int, seconds: float = 200) -> None:
    """Return when so many of the events that were published as they are have a vector."""
    deadline = time.monotonic() + seconds
    found: set[int | str] = set()
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, max_poll_records=5000)) as consumer:
        places = [TopicPartition(plan.features_topic, partition) for partition in range(PARTITIONS)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        while len(found) < number:
            assert time.monotonic() < deadline, f"{len(found)} of {number} events have a vector after {seconds} s"
            for some in consumer.poll(timeout_ms=100).values():
                found |= {vector.event_id for vector in of_history(decode_features(record.value) for record in some)}


def await_checkpoint(folder: Path, seconds: float = 60, *, newer: bool = False) -> None:
    """Return when there is a checkpoint below ``folder``; ``newer``: one that began after the call."""
    deadline = time.monotonic() + seconds
    wanted = _newest(folder) + 2 if newer else 1  # the next one may have begun already
    while _newest(folder) < wanted:
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.05)


def _newest(folder: Path) -> int:
    return max((int(file.parent.name.removeprefix("chk-")) for file in folder.rglob("chk-*/_metadata")), default=0)


def records(broker: Broker, topic: str) -> Iterator[Any]:
    """All records of a topic, partition by partition as they come."""
    return (record for some in polled(broker.bootstrap, topic) for record in some)


def vectors(broker: Broker, plan: Plan) -> list[FeatureVector]:
    """All feature vectors of the plan."""
    return [decode_features(record.value) for record in records(broker, plan.features_topic)]


def dead_letters(broker: Broker, plan: Plan) -> list[DeadLetter]:
    """The dead letters of the plan's own topics."""
    topics = {source.topic for source in plan.sources}
    letters = [decode_dead_letter(record.value) for record in records(broker, DEAD_LETTERS.name)]
    return [letter for letter in letters if letter.origin.topic in topics]


def late_rows(broker: Broker, plan: Plan) -> list[LateRow]:
    """The late rows of the plan's own topics."""
    topics = {source.topic for source in plan.sources}
    rows = [decode_late_row(record.value) for record in records(broker, LATE_ROWS.name)]
    return [row for row in rows if row.origin.topic in topics]
