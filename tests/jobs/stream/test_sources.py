"""From when on a job's sources are whole, by what Kafka holds when the job starts; on a real broker, without Flink."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from features.disk import keep
from features.job import job_plan
from features.plan import Plan
from features.seam import Seam, seam_at
from features.service import Service
from features.times import DAY_MS, EVENT_TIMES
from infra.config import stream_config
from infra.local.broker import Broker
from infra.settings import StreamSettings
from jobs.stream.backfill import forget, record
from jobs.stream.beginning import began_empty, first_events
from jobs.stream.files import sources_file
from jobs.stream.topics import Sources, event_time, look
from tests.support.streams import own_topics
from tests.support.transactions import write

T = 1_714_550_400_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (b'{"at": 1714550400000}', T),
        (b'{"at": "2024-05-01T08:00:00Z"}', T),
        (b'{"at": "2024-05-01T10:00:00.000+02:00"}', T),
        (b'{"at": "2024-05-01T08:00:00"}', None),
        (b'{"at": 1714550400000.5}', None),
        (b'{"at": true}', None),
        (b'{"at": null}', None),
        (b'{"other": 1}', None),
        (b"[1, 2]", None),
        (b"17", None),
        (b"not json", None),
        (b'{"at": "\xe9"}', None),
        (b"", None),
        (None, None),
    ],
)
def test_the_time_of_an_event_is_as_the_stream_reads_it(value: bytes | None, at: int | None) -> None:
    """What is bad input has none."""
    assert event_time(value, "at") == at


@pytest.mark.stack
def test_a_topic_from_which_nothing_was_deleted_is_whole(broker: Broker, small: Service, tmp_path: Path) -> None:
    """Nothing is said of it, with events or without; the topics' ids are kept beside the checkpoints."""
    plan = own_topics(broker, small.plan)
    send(broker, plan, [T, T + HOUR])
    found = looked(broker, plan, tmp_path)
    assert found.whole_after_ms == {}
    assert found.topic_ids.keys() == {source.topic for source in plan.sources}
    assert looked(broker, plan, tmp_path, is_restored=True) == found


@pytest.mark.stack
def test_a_topic_begins_with_its_first_events(broker: Broker, small: Service) -> None:
    """The oldest, bad input aside; an empty topic begins with the spine; where the first are gone, nothing is known."""
    plan = own_topics(broker, small.plan)
    client = {"bootstrap_servers": broker.bootstrap}
    assert first_events(client, plan, EVENT_TIMES) == {}, "no event of the spine"
    send(broker, plan, [-5, T + HOUR, T, T + 2 * HOUR])
    assert first_events(client, plan, EVENT_TIMES) == {source.name: T for source in plan.sources}
    delete_before(broker, plan, 1)
    assert first_events(client, plan, EVENT_TIMES) == {}


def test_windows_began_empty_where_a_job_is_known_that_was_not_backfilled(small: Service, tmp_path: Path) -> None:
    """Not where there is none, nor where one has other topics, nor where one of several began with a history."""
    plan = small.plan
    states = [tmp_path / "job" / digest / "heap" for digest in ("a", "b")]
    begins: dict[str, dict[int, int]] = {source.topic: {0: 0} for source in plan.sources}
    assert not began_empty(tmp_path, plan)
    keep(sources_file(states[0]), Sources(begins={plan.spine_source.topic: {0: 0}}))
    assert not began_empty(tmp_path, plan)
    for state in states:
        keep(sources_file(state), Sources(begins=begins))
    assert began_empty(tmp_path, plan)
    record(states[1], seam_at(job_plan([plan]), T, 1))
    assert not began_empty(tmp_path, plan)
    forget(states[1])
    assert began_empty(tmp_path, plan)


@pytest.mark.stack
def test_a_topic_is_whole_from_its_first_record_and_the_disorder_behind_it(
    broker: Broker, small: Service, tmp_path: Path
) -> None:
    """Bad input has no time; a disorder beyond the allowed lateness does not count; the bound stays over a restart."""
    plan = own_topics(broker, small.plan)
    assert plan.lateness_ms == DAY_MS
    send(broker, plan, [T, T + 2 * HOUR, T + HOUR, T + 4 * HOUR, T + HOUR])
    delete_before(broker, plan, 1)
    bound = {plan.spine: T + 2 * HOUR + 3 * HOUR}
    assert looked(broker, plan, tmp_path).whole_after_ms == bound
    assert looked(broker, plan, tmp_path, is_restored=True).whole_after_ms == bound
    backfilled = looked(broker, plan, tmp_path, is_restored=True, whole_from_ms=T)
    assert backfilled.whole_after_ms == {plan.spine: T - 1}, "the user knows better"
    send(broker, plan, [-5, T - 10 * DAY_MS])
    delete_before(broker, plan, 3)
    assert looked(broker, plan, tmp_path).whole_after_ms == {plan.spine: T + 4 * HOUR + DAY_MS}


@pytest.mark.stack
def test_what_is_gone_from_before_the_seam_is_in_the_history(broker: Broker, small: Service, tmp_path: Path) -> None:
    """Also where it is deleted while the job is down and has not come so far; from behind the seam it is missing."""
    plan = own_topics(broker, small.plan)
    seam = seam_at(job_plan([plan]), T + 10 * HOUR, 1)
    send(broker, plan, [T, T + HOUR, T + 2 * HOUR])
    delete_before(broker, plan, 1)
    assert looked(broker, plan, tmp_path, seam=seam).whole_after_ms == {}
    delete_before(broker, plan, 2)
    assert looked(broker, plan, tmp_path, is_restored=True, seam=seam).whole_after_ms == {}
    send(broker, plan, [T + 10 * HOUR, T + 11 * HOUR])
    delete_before(broker, plan, 3)
    bound = {plan.spine: T + 10 * HOUR}
    assert looked(broker, plan, tmp_path, is_restored=True, seam=seam).whole_after_ms == bound


@pytest.mark.stack
def test_a_topic_of_which_nothing_is_left_is_whole_from_now_on(broker: Broker, small: Service, tmp_path: Path) -> None:
    """What was deleted may have been as new as an event may be."""
    plan = own_topics(broker, small.plan)
    send(broker, plan, [T])
    delete_before(broker, plan, 1)
    before = int(time.time() * 1000)
    found = looked(broker, plan, tmp_path)
    bound = found.whole_after_ms[plan.spine]
    assert before <= bound - StreamSettings().max_ahead_ms <= time.time() * 1000
    assert looked(broker, plan, tmp_path, is_restored=True) == found, "it is known by then"


@pytest.mark.stack
def test_what_a_job_read_before_it_was_beside_another_is_read(broker: Broker, small: Service, tmp_path: Path) -> None:
    """It has a consumer group of its own then, in which nothing is committed yet."""
    plan = own_topics(broker, small.plan)
    send(broker, plan, [T, T + HOUR])
    config = stream_config(StreamSettings(), bootstrap=broker.bootstrap, checkpoints=tmp_path)
    job = job_plan([plan])
    look(job, config, tmp_path, is_restored=False)
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=config.sql.group_of(job))) as consumer:
        consumer.commit({TopicPartition(plan.spine_source.topic, 0): OffsetAndMetadata(1, "", -1)})
    delete_before(broker, plan, 1)
    beside = msgspec.structs.replace(config, sql=msgspec.structs.replace(config.sql, vectors_from={0: 2}))
    assert look(job, beside, tmp_path, is_restored=True).whole_after_ms == {}


@pytest.mark.stack
def test_a_compacted_topic_is_whole_from_its_newest_record_on(broker: Broker, small: Service, tmp_path: Path) -> None:
    """Kafka deletes in its midst: it is whole where each offset is a record, and else from its newest record on."""
    plan = own_topics(broker, small.plan, source={"cleanup.policy": "compact,delete"})
    send(broker, plan, [T + HOUR, T])
    assert looked(broker, plan, tmp_path).whole_after_ms == {}
    write(broker.bootstrap, plan.spine_source.topic, (False, [(0, b"{}")]))  # leaves a gap, as compaction does
    assert looked(broker, plan, tmp_path).whole_after_ms == {plan.spine: T + HOUR}


def looked(
    broker: Broker, plan: Plan, folder: Path, *, is_restored: bool = False, seam: Seam | None = None, **settings: int
) -> Sources:
    """What a job of the plan finds when it starts."""
    config = stream_config(StreamSettings(**settings), bootstrap=broker.bootstrap, checkpoints=folder)
    return look(job_plan([plan]), config, folder, is_restored=is_restored, seam=seam)


def send(broker: Broker, plan: Plan, times: Sequence[int]) -> None:
    """Publish events of these times on one partition of the spine."""
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for at in times:
            value = json.dumps({plan.spine_source.time: at}).encode()
            producer.send(plan.spine_source.topic, value, b"1", partition=0)
        producer.flush()


def delete_before(broker: Broker, plan: Plan, offset: int) -> None:
    """Delete the first records of the spine's partition 0, as retention does."""
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.delete_records({TopicPartition(plan.spine_source.topic, 0): offset})
