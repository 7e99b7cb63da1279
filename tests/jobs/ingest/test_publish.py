"""Files as events: exact JSON, one partition for each key, order of event time, and the schedule."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.partitioner.default import murmur2

from features.errors import SettingError
from features.plan import Column, ColumnType, Plan, Source, Stage, WindowFeature
from features.times import Span
from infra.local.broker import Broker
from jobs.ingest import event_files
from jobs.ingest.publish import Event, Feed, at_rate, at_speed, events, feed, merged, paced, publish

START = 1_522_540_800_000
"""2018-04-01, midnight."""


def column(name: str, kind: Any, precision: int = 0, scale: int = 0) -> Column:
    """A column of a source."""
    return Column(name, ColumnType(kind, precision, scale))


PAYMENTS = Source(
    name="payments",
    topic="payments",
    columns=(column("id", "int64"), column("at", "timestamp"), column("card", "int64"), column("amount", "decimal", 12, 2)),
    time="at",
    event_id="id",
    history="payments.parquet",
    delay_ms=0,
)


def payments(folder: Path, name: str = "payments.parquet", count: int = 4, **columns: Any) -> Path:
    """A file of payments, one a second, cards 0, 1, 2, 0, …, amounts 0.00, 1.10, 2.20, …"""
    table = {
        "id": pa.array(range(count), pa.int64()),
        "at": pa.array([START + i * 1000 for i in range(count)], pa.timestamp("ms", tz="UTC")),
        "card": pa.array([i % 3 for i in range(count)], pa.int64()),
        "amount": pa.array([Decimal(i * 110) / 100 for i in range(count)], pa.decimal128(12, 2)),
        "hidden": pa.array([1] * count),
        **columns,
    }
    pq.write_table(pa.table(table), folder / name)
    return folder / name


def consumed(broker: Broker, topic: str, count: int) -> list[Any]:
    """The first ``count`` records of a topic."""
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, consumer_timeout_ms=10_000)) as consumer:
        consumer.assign([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)])
        consumer.seek_to_beginning()
        return [record for record, _ in zip(consumer, range(count), strict=False)]


@pytest.mark.stack
def test_a_key_stays_in_one_partition_and_in_order(broker: Broker, tmp_path: Path) -> None:
    """Where any other Kafka client would put it, too."""
    broker.create_topics({"payments": 2})
    file = payments(tmp_path, count=3000)
    done = publish(events(Feed(file, "payments", PAYMENTS, "card")), {"bootstrap_servers": broker.bootstrap})
    assert done.events == 3000
    seen = defaultdict(list)
    for record in consumed(broker, "payments", 3000):
        seen[record.key].append((record.partition, json.loads(record.value)["id"]))
    assert set(seen) == {b"0", b"1", b"2"}
    for key, places in seen.items():
        assert {partition for partition, _ in places} == {(murmur2(key) & 0x7FFFFFFF) % 2}
        assert [number for _, number in places] == list(range(int(key), 3000, 3))


@pytest.mark.stack
def test_records_have_no_header_and_the_time_of_sending(broker: Broker, tmp_path: Path) -> None:
    """A record's own time is when it arrived; the event's time is within."""
    broker.create_topics({"plain": 1})
    before = datetime.now(UTC).timestamp() * 1000
    publish(events(Feed(payments(tmp_path), "plain")), {"bootstrap_servers": broker.bootstrap})
    record = consumed(broker, "plain", 1)[0]
    assert (record.key, list(record.headers)) == (None, [])
    assert before - 1 <= record.timestamp <= datetime.now(UTC).timestamp() * 1000


@pytest.mark.core
def test_json_is_exact(tmp_path: Path) -> None:
    """Times are integers, decimals keep their digits, null stays null, and what the source doesn't declare stays out."""
    file = payments(tmp_path, count=2, card=pa.array([7, None], pa.int64()))
    assert list(events(Feed(file, "payments", PAYMENTS, "card"))) == [
        Event(START, "payments", b"7", b'{"id":0,"at":1522540800000,"card":7,"amount":0.00}'),
        Event(START + 1000, "payments", None, b'{"id":1,"at":1522540801000,"card":null,"amount":1.10}'),
    ]


@pytest.mark.core
def test_without_a_source_all_columns_go_out(tmp_path: Path) -> None:
    """A topic that no plan reads takes a file as it is, without keys."""
    first = next(events(Feed(payments(tmp_path), "other")))
    assert json.loads(first.value) == {"id": 0, "at": START, "card": 0, "amount": 0, "hidden": 1}
    assert (first.time, first.key) == (START, None)
    days = payments(tmp_path, at=pa.array([date(1970, 1, 2)] * 4))
    assert json.loads(next(events(Feed(days, "other"))).value)["at"] == 86_400_000


@pytest.mark.core
@pytest.mark.parametrize("written", ["2018-04-01T00:00:00Z", "2018-04-01 00:00:00", "2018-04-01T02:00:00+02:00", str(START)])
def test_csv_has_the_sources_types(tmp_path: Path, written: str) -> None:
    """Times with a zone, without one and as milliseconds; the other columns are read as the source declares them."""
    file = tmp_path / "payments.csv"
    file.write_text(f"id,at,card,amount\n1,{written},5,12.3\n")
    assert list(events(Feed(file, "payments", PAYMENTS, "card"))) == [
        Event(START, "payments", b"5", b'{"id":1,"at":1522540800000,"card":5,"amount":12.30}')
    ]


@pytest.mark.core
def test_csv_decimals_keep_their_digits(tmp_path: Path) -> None:
    """They are not read as doubles; a digit more than the source has is refused, not rounded."""
    file = tmp_path / "payments.csv"
    file.write_text("id,at,card,amount\n1,2018-04-01T00:00:00Z,5,1234567890.07\n")
    assert b'"amount":1234567890.07}' in next(iter(events(Feed(file, "payments", PAYMENTS)))).value
    file.write_text("id,at,card,amount\n1,2018-04-01T00:00:00Z,5,0.075\n")
    with pytest.raises(SettingError, match="column 'amount': a value is exact in decimal"):
        next(iter(events(Feed(file, "payments", PAYMENTS))))


@pytest.mark.core
def test_nothing_goes_out_of_a_file_with_a_bad_value(tmp_path: Path) -> None:
    """The whole span is checked before its first event is sent; what lies outside is not looked at."""
    times = pa.array([START * 1000 + i * 1_000_000 + (i == 3) for i in range(4)], pa.timestamp("us", tz="UTC"))
    file = payments(tmp_path, at=times)
    with pytest.raises(SettingError, match="times are whole milliseconds"):
        next(iter(events(Feed(file, "payments", PAYMENTS))))
    assert len(list(events(Feed(file, "payments", PAYMENTS), Span(end_ms=START + 3000)))) == 3


@pytest.mark.core
def test_the_rows_of_a_parquet_file_are_known_beforehand(tmp_path: Path) -> None:
    """Those of other files would have to be read for it."""
    assert event_files.row_count(payments(tmp_path, count=5)) == 5
    assert event_files.row_count(tmp_path / "payments.csv") is None
    assert event_files.row_count(tmp_path / "none.parquet") is None


@pytest.mark.core
def test_json_lines_go_out_as_they_stand(tmp_path: Path) -> None:
    """Bad ones too: they are the stream's to judge."""
    file = tmp_path / "payments.jsonl"
    good = b'{"card": 5, "at": 1522540800000, "amount": 1.50}'
    file.write_bytes(good + b"\nnot json\n\n[1]\n")
    assert list(events(Feed(file, "payments", PAYMENTS, "card"))) == [
        Event(START, "payments", b"5", good),
        Event(0, "payments", None, b"not json"),
        Event(0, "payments", None, b"[1]"),
    ]


@pytest.mark.core
def test_a_span_takes_its_first_moment_and_not_its_last(tmp_path: Path) -> None:
    """From is in, to is out."""
    found = events(Feed(payments(tmp_path), "payments", PAYMENTS), Span(START + 1000, START + 3000))
    assert [event.time - START for event in found] == [1000, 2000]


@pytest.mark.core
def test_merged_files_go_in_order_of_event_time(tmp_path: Path) -> None:
    """At equal times the file that was named first goes first."""
    one, two = payments(tmp_path, "one.parquet"), payments(tmp_path, "two.parquet", 2)
    order = [(event.time - START, event.topic) for event in merged([Feed(two, "two", PAYMENTS), Feed(one, "one", PAYMENTS)])]
    assert order == [(0, "two"), (0, "one"), (1000, "two"), (1000, "one"), (2000, "one"), (3000, "one")]


@pytest.mark.core
def test_the_key_is_that_of_the_first_windows_over_the_source(tmp_path: Path) -> None:
    """Labels by terminal are keyed by terminal, though the service's first windows go by card."""
    labels = Source("labels", "labels", (column("shop", "int64"),), "at", "id", "labels.parquet", 0)
    windows = tuple(
        Stage(source, (key,), (WindowFeature(f"{key}__count", "count", key, 1000),))
        for source, key in (("payments", "card"), ("labels", "shop"))
    )
    plan = Plan("fraud", "payments", (PAYMENTS, labels), windows, (), (), (), "arrival", 0)
    assert feed(tmp_path, "payments", [plan]).key == "card"
    assert feed(tmp_path, "labels", [plan]).key == "shop"
    assert feed(tmp_path, "elsewhere", [plan]) == Feed(tmp_path, "elsewhere")


@pytest.mark.core
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"amount": pa.array(["much"] * 4)}, "column 'amount' of type decimal.* got VARCHAR"),
        ({"amount": pa.array([0.001] * 4)}, "column 'amount': a value is exact in decimal.*; got 0.001"),
        ({"at": pa.array(["later"] * 4)}, "column 'at' of type timestamp; got VARCHAR"),
        ({"at": pa.array([START * 1000 + 1] * 4, pa.timestamp("us"))}, "column 'at': times are whole milliseconds"),
        ({"extra": pa.array([1.0, float("nan"), 2.0, 3.0])}, "column 'extra': a number is finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    """In one line, with the file's name."""
    source = None if "extra" in columns else PAYMENTS
    with pytest.raises(SettingError, match=message) as caught:
        list(events(Feed(payments(tmp_path, **columns), "payments", source)))
    assert "payments.parquet" in str(caught.value)


@pytest.mark.core
@pytest.mark.parametrize(("name", "message"), [("none.parquet", "no file"), ("events.txt", "convert it")])
def test_a_file_that_is_no_event_file_is_refused(tmp_path: Path, name: str, message: str) -> None:
    """Missing, or of another kind."""
    (tmp_path / "events.txt").touch()
    with pytest.raises(SettingError, match=message):
        event_files.read(tmp_path / name)


@pytest.mark.core
def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    """The source's columns are all there, or the file is of another topic."""
    pq.write_table(pa.table({"id": [1], "at": pa.array([START], pa.timestamp("ms"))}), tmp_path / "short.parquet")
    with pytest.raises(SettingError, match="source 'payments' has column 'card' of type int64; got no such column"):
        list(events(Feed(tmp_path / "short.parquet", "payments", PAYMENTS)))


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def at(*times: int) -> list[Event]:
    """Events with these event times."""
    return [Event(when, "t", None, b"") for when in times]


@pytest.mark.core
def test_a_rate_does_not_drift() -> None:
    """An event that was held up does not hold up those after it."""
    clock, moments = Clock(), []
    for number, _ in enumerate(paced(at(*range(6)), at_rate(10), clock, clock.sleep)):
        moments.append(round(clock.now - 100, 3))
        clock.now += 0.25 if number == 1 else 0.01  # the second takes long
    assert moments == [0.0, 0.1, 0.35, 0.36, 0.4, 0.5]


@pytest.mark.core
def test_a_speed_follows_event_time() -> None:
    """Ten times as fast; an event that is late by its time goes out at once."""
    clock, moments = Clock(), []
    for _ in paced(at(5000, 6000, 9000, 7000, 15_000), at_speed(10), clock, clock.sleep):
        moments.append(round(clock.now - 100, 3))
    assert moments == [0.0, 0.1, 0.4, 0.4, 1.0]
