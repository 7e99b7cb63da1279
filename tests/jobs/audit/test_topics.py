"""How an audit reads Kafka: all records once, from a time on, from the newest back, and single ones by their place."""

from __future__ import annotations

import math
import time
from contextlib import closing

import pytest
from kafka import KafkaProducer

from infra.local.broker import Broker
from jobs.audit import topics
from jobs.audit.find import headers_of
from schemas import Origin
from tests.support.headers import NoText

pytestmark = pytest.mark.stack

TOPIC, PARTITIONS, RECORDS, WRITTEN_MS = "audit-topics", 3, 60, 1_700_000_000_000


@pytest.fixture(scope="module")
def client(broker: Broker) -> dict[str, str]:
    """What a consumer is given; on the topic are sixty records, a second apart, over three partitions in turn."""
    broker.create_topics({TOPIC: PARTITIONS})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for number in range(RECORDS):
            at = WRITTEN_MS + 1000 * number
            producer.send(TOPIC, str(number).encode(), partition=number % PARTITIONS, timestamp_ms=at)
        producer.flush()
    return {"bootstrap_servers": broker.bootstrap}


def test_a_topic_is_read_from_a_time_on(client: dict[str, str]) -> None:
    """To its end, with how far it is; a topic that is not there has no records."""
    told = list[tuple[int, int]]()
    found = [int(record.value) for record in topics.read(client, TOPIC, on_read=lambda *seen: told.append(seen))]
    assert sorted(found) == list(range(RECORDS))
    assert told[-1] == (RECORDS, RECORDS)
    assert sorted(int(record.value) for record in topics.read(client, TOPIC, WRITTEN_MS + 54_500)) == [55, 56, 57, 58, 59]
    assert list(topics.read(client, TOPIC, WRITTEN_MS + 10**9)) == []
    assert list(topics.read(client, "no-such-topic", 5)) == []


def test_an_event_has_its_key_to_the_last_digit() -> None:
    """However it is written, and whatever else the producer has written beside it."""
    written = b'{"k": 9.007199254740993e15, "n": -3.0, "d": 0.5, "more": [1e400, 1e99999999999999999999]}'
    event = topics.decoded(topics.decode_event, written)
    assert event == {"k": 9_007_199_254_740_993, "n": -3, "d": 0.5, "more": [math.inf, math.inf]}


def test_a_topic_is_read_from_the_newest_back(client: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Block by block, each record once, so that a search for a new one ends soon."""
    monkeypatch.setattr(topics, "BLOCK", 4)
    told = list[tuple[int, int]]()
    found = [int(record.value) for record in topics.newest_first(client, TOPIC, lambda *seen: told.append(seen))]
    assert sorted(found) == list(range(RECORDS))
    assert sorted(found[:12]) == list(range(48, 60))
    assert told == [(done, RECORDS) for done in (12, 24, 36, 48, 60)]
    assert list(topics.newest_first(client, "no-such-topic")) == []


def test_a_partition_that_is_done_first_is_read_in_the_next_block(
    client: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records come a few at a time, so that the partitions come to the end of a block one after the other."""
    monkeypatch.setattr(topics, "BLOCK", 4)
    monkeypatch.setitem(topics.READER, "max_poll_records", 1)
    assert sorted(int(record.value) for record in topics.newest_first(client, TOPIC)) == list(range(RECORDS))


def test_the_time_that_the_reader_takes_is_not_kafkas(client: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that are handled slowly, each later than Kafka may take, are all read."""
    monkeypatch.setattr(topics, "STUCK_SECONDS", 1.5)
    monkeypatch.setitem(topics.READER, "max_poll_records", 30)
    for number, _ in enumerate(topics.read(client, TOPIC)):
        if number in (29, 59):
            time.sleep(2)
    assert number == RECORDS - 1


def test_records_are_read_by_their_places(client: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Near ones and far ones; a place that Kafka does not have gives none."""
    monkeypatch.setattr(topics, "NEAR", 3)
    there = [Origin(TOPIC, 0, 0), Origin(TOPIC, 0, 2), Origin(TOPIC, 0, 19), Origin(TOPIC, 2, 7)]
    gone = [Origin(TOPIC, 0, 20), Origin(TOPIC, 9, 0), Origin("no-such-topic", 0, 0)]
    found = {Origin(r.topic, r.partition, r.offset): int(r.value) for r in topics.records_at(client, [*there, *gone])}
    assert found == dict(zip(there, (0, 6, 57, 23), strict=True))


def test_a_vector_is_found_by_when_it_was_written(client: dict[str, str]) -> None:
    """From its time on, and no further than so many records."""
    found = topics.written_at(client, TOPIC, 1, WRITTEN_MS + 1000 * 31, most=2)
    assert [int(record.value) for record in found] == [31, 34]
    assert list(topics.written_at(client, TOPIC, 9, WRITTEN_MS)) == []


def test_an_events_record_has_the_trace_that_it_was_published_by(broker: Broker, client: dict[str, str]) -> None:
    """The receipt's origin leads to it; a record without headers has none, nor has one that is not there."""
    topic, trace = "audit-headers", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    broker.create_topics({topic: 1})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        producer.send(topic, b"{}")
        producer.send(topic, b"{}", headers=[("x-request-id", b"one"), ("traceparent", trace.encode()), ("other", b"\xff")])
        producer.flush()
    assert headers_of(client, Origin(topic, 0, 1)) == {
        "x-request-id": "one",
        "traceparent": trace,
        "other": "\N{REPLACEMENT CHARACTER}",
    }
    assert headers_of(client, Origin(topic, 0, 0)) == headers_of(client, Origin(topic, 0, 2)) == {}


def test_a_header_whose_name_is_no_text_hides_no_record(broker: Broker) -> None:
    """Kafka takes it, and the stream reads it: its record and those behind it in the batch are read here, too."""
    topic = f"{TOPIC}-no-text"
    broker.create_topics({topic: 1})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=200)) as producer:
        for number, name in enumerate(["a", NoText("x"), "b"]):
            producer.send(topic, str(number).encode(), headers=[(name, b"1")], partition=0)
    client = {"bootstrap_servers": broker.bootstrap}
    assert [record.value for record in topics.read(client, topic)] == [b"0", b"1", b"2"]
    assert headers_of(client, Origin(topic, 0, 1)) == {"a\ufffd": "1"}
