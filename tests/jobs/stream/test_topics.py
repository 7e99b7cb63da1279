"""What becomes of the topics under a stream job: transactions, partitions and records that come and go."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from features.errors import StackError
from features.plan import Plan
from features.service import Service
from features.times import DAY_MS
from infra.config import GROUP
from infra.local.broker import Broker
from jobs.stream.topics import committed
from tests.support.flink import Cluster
from tests.support.streams import (
    PARTITIONS,
    NoText,
    await_checkpoint,
    await_vectors,
    late_rows,
    own_topics,
    run_to_end,
    submitted,
    vectors,
)
from tests.support.transactions import write
from tests.support.waits import wait_until

pytestmark = pytest.mark.stack

T = 1_714_550_400_000
HOUR = 3_600_000
COUNT = "customer_spend__count_1d"


def payment(number: int, at: int) -> bytes:
    """A payment of one customer."""
    event = {"transaction_id": number, "event_time": at, "customer_id": 1, "terminal_id": 2, "amount": 1}
    return json.dumps(event).encode()


def send(broker: Broker, plan: Plan, payments: Iterable[tuple[int, int, int]]) -> None:
    """Publish (partition, number, time)."""
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for partition, number, at in payments:
            producer.send(plan.spine_source.topic, payment(number, at), b"1", partition=partition)
        producer.flush()


def test_aborted_events_are_not_counted(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """Events of a transaction that was aborted never were, and the mark at a topic's end does not keep a job from its own."""
    plan = own_topics(broker, small.plan)
    transactions = ((number % 2 == 0, [(0, payment(number, T + number))]) for number in range(8))
    write(broker.bootstrap, plan.spine_source.topic, *transactions)
    run_to_end(broker, cluster, plan, tmp_path)
    assert {v.event_id: v.features[COUNT] for v in vectors(broker, plan)} == {0: 1, 2: 2, 4: 3, 6: 4}


def test_added_partitions_are_read(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """A job that runs finds the partitions that are added to its sources, and reads them from their first record on."""
    plan = own_topics(broker, small.plan)
    send(broker, plan, [(0, 0, T)])
    with submitted(broker, cluster, plan, tmp_path, bounded=False, discovery_ms=300):
        await_vectors(broker, plan, 1)
        with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
            admin.create_partitions({plan.spine_source.topic: PARTITIONS + 1})
        send(broker, plan, [(PARTITIONS, 1, T + 1)])
        await_vectors(broker, plan, 2, seconds=30)
    assert {v.event_id: v.features[COUNT] for v in vectors(broker, plan)} == {0: 1, 1: 2}


def test_the_newest_events_of_a_silent_stream_have_vectors(
    broker: Broker, cluster: Cluster, small: Service, tmp_path: Path
) -> None:
    """In event-time mode, on two tasks: all that waits has its vector in the silence; what is older then is late, and at once."""
    plan = own_topics(broker, small.plan, mode="event_time")
    send(broker, plan, [(0, 0, T), (1, 1, T + HOUR), (0, 2, T + 2 * HOUR), (1, 3, T + HOUR)])
    options = {"bounded": False, "idle_timeout_ms": 3000, "parallelism": 2}
    with submitted(broker, cluster, plan, tmp_path, **options):
        await_vectors(broker, plan, 4, seconds=60)
        send(broker, plan, [(1, 4, T + HOUR // 2)])
        await_vectors(broker, plan, 5, seconds=30)
        send(broker, plan, [(1, 5, T + 3 * HOUR)])
        await_vectors(broker, plan, 6, seconds=30)
    found = {v.event_id: v.features[COUNT] for v in vectors(broker, plan)}
    assert found == {0: 1, 1: 2, 3: 3, 2: 4, 4: 2, 5: 6}
    assert {row.event_time: row.counted for row in late_rows(broker, plan)} == {T + HOUR // 2: True}


def test_a_header_whose_name_is_no_text_stops_no_job(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """Kafka takes such a record and Flink reads it, but kafka-python does not: a job that has read one starts again, too."""
    plan = own_topics(broker, small.plan, mode="event_time")
    send(broker, plan, [(0, 0, T)])
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        producer.send(plan.spine_source.topic, payment(1, T + 1), headers=[(NoText("x"), b"")], partition=0)
    send(broker, plan, [(0, 2, T + 2)])
    options = {"bounded": False, "idle_timeout_ms": 500, "checkpoint_interval_ms": 200}
    with submitted(broker, cluster, plan, tmp_path, **options):
        await_vectors(broker, plan, 3, seconds=60)
        await_committed(broker, plan, {0: 3})
    with submitted(broker, cluster, plan, tmp_path, **options):
        send(broker, plan, [(0, 3, T + 3)])
        await_vectors(broker, plan, 4, seconds=60)
    assert {v.event_id: v.features[COUNT] for v in vectors(broker, plan)} == {0: 1, 1: 2, 2: 3, 3: 4}


def test_windows_whose_rows_kafka_deleted_unread_are_not_complete(
    broker: Broker, cluster: Cluster, small: Service, tmp_path: Path
) -> None:
    """Until a window begins where all is there; also after a restart, and where records were deleted while the job was down."""
    plan = own_topics(broker, small.plan)
    assert max(stage.longest_ms for stage in plan.windows) == 30 * DAY_MS
    send(broker, plan, [(0, number, T + 5 * number * DAY_MS) for number in range(13)])
    delete_before(broker, plan, 5)  # what is left begins 25 days after T
    options = {"bounded": False, "checkpoint_interval_ms": 200}
    with submitted(broker, cluster, plan, tmp_path, **options):
        await_vectors(broker, plan, 8, seconds=60)
        await_checkpoint(tmp_path)
    assert complete(broker, plan) == {number: number >= 11 for number in range(5, 13)}
    with submitted(broker, cluster, plan, tmp_path, **options):
        send(broker, plan, [(1, 54, T + 54 * DAY_MS), (1, 55, T + 55 * DAY_MS)])
        await_vectors(broker, plan, 10, seconds=60)
        await_committed(broker, plan, {0: 13, 1: 2})
    found = complete(broker, plan)
    assert (found[54], found[55]) == (False, True)
    send(broker, plan, [(0, number, T + number * DAY_MS) for number in (70, 80, 90, 110, 120)])
    delete_before(broker, plan, 15)  # two that nobody has read
    with submitted(broker, cluster, plan, tmp_path, **options):
        await_vectors(broker, plan, 13, seconds=60)
    found = complete(broker, plan)
    assert {number: found.get(number) for number in (70, 80, 90, 110, 120)} == {
        70: None,
        80: None,
        90: False,
        110: False,
        120: True,
    }


def test_another_topic_of_the_same_name_is_refused(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """A topic that was deleted and made again while the job was down has other records at the checkpoint's offsets."""
    plan = own_topics(broker, small.plan)
    topic, options = plan.spine_source.topic, {"bounded": False, "checkpoint_interval_ms": 200}
    send(broker, plan, [(0, number, T + number) for number in range(60)])
    with submitted(broker, cluster, plan, tmp_path, **options):
        await_vectors(broker, plan, 60)
        await_checkpoint(tmp_path)
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.delete_topics([topic])
        wait_until(lambda: topic not in admin.list_topics())
    broker.create_topics({topic: PARTITIONS})
    send(broker, plan, [(0, number, T + number) for number in range(80)])
    with (
        pytest.raises(StackError, match=f"'{topic}' was deleted and made again since its checkpoint") as refused,
        submitted(broker, cluster, plan, tmp_path, **options) as job,
    ):
        job.join()
    assert "\n" not in str(refused.value)
    state = str(refused.value).rpartition("delete ")[2]
    shutil.rmtree(state)  # what the message says
    with submitted(broker, cluster, plan, tmp_path, **options):
        wait_until(lambda: {v.event_id: v.features[COUNT] for v in vectors(broker, plan)} == {n: n + 1 for n in range(80)})


def delete_before(broker: Broker, plan: Plan, offset: int) -> None:
    """Delete the first records of the spine's partition 0, as retention does."""
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.delete_records({TopicPartition(plan.spine_source.topic, 0): offset})


def complete(broker: Broker, plan: Plan) -> dict[int | str, bool]:
    """Whether each vector says that it is complete."""
    return {vector.event_id: vector.complete for vector in vectors(broker, plan)}


def await_committed(broker: Broker, plan: Plan, offsets: dict[int, int]) -> None:
    """Return when the job has committed these offsets of the spine, as it does with each checkpoint."""
    topic, group = plan.spine_source.topic, f"{GROUP}.{plan.service}"
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        found = lambda: {place.partition: at for place, at in committed(admin, group).items() if place.topic == topic}  # noqa: E731
        wait_until(lambda: found() == offsets)
