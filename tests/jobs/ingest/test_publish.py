"""Files as events: exact JSON, one partition for each key, order of event time, and the schedule."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.partitioner.default import murmur2

from features.errors import SettingError, StackError
from features.plan import Column, ColumnType, Plan, Source, Stage, WindowFeature
from features.times import Span
from infra.local.broker import Broker
from jobs.ingest.event_files import Feed, checked
from jobs.ingest.publish import Event, at_rate, at_speed, events, feed, merged, paced, publish

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


def number_of(broker: Broker, topic: str) -> int:
    """The records of a topic with one partition."""
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap)) as consumer:
        return int(consumer.end_offsets([TopicPartition(topic, 0)])[TopicPartition(topic, 0)])


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
def test_an_event_is_as_long_as_its_topic_takes(broker: Broker) -> None:
    """More than kafka-python's own limit of 1 MiB, where the topic was made for it."""
    broker.create_topics({"long": 1}, {"max.message.bytes": "2000000"})
    client, long = {"bootstrap_servers": broker.bootstrap}, b'"%s"' % (b"x" * 1_500_000)
    assert publish([Event(0, "long", None, long)], client).events == 1
    assert consumed(broker, "long", 1)[0].value == long
    with pytest.raises(StackError, match=r"MessageSizeTooLarge.*no event was sent"):
        publish([Event(0, "long", None, long + long)], client)


@pytest.mark.stack
def test_records_have_no_header_and_the_time_of_sending(broker: Broker, tmp_path: Path) -> None:
    """A record's own time is when it arrived; the event's time is within."""
    broker.create_topics({"plain": 1})
    before = datetime.now(UTC).timestamp() * 1000
    publish(events(Feed(payments(tmp_path), "plain")), {"bootstrap_servers": broker.bootstrap})
    record = consumed(broker, "plain", 1)[0]
    assert (record.key, list(record.headers)) == (None, [])
    assert before - 1 <= record.timestamp <= datetime.now(UTC).timestamp() * 1000


def test_json_is_exact(tmp_path: Path) -> None:
    """Times are integers, decimals keep their digits, null stays null, and what the source doesn't declare stays out."""
    file = payments(tmp_path, count=2, card=pa.array([7, None], pa.int64()))
    assert list(events(Feed(file, "payments", PAYMENTS, "card"))) == [
        Event(START, "payments", b"7", b'{"id":0,"at":1522540800000,"card":7,"amount":0.00}'),
        Event(START + 1000, "payments", None, b'{"id":1,"at":1522540801000,"card":null,"amount":1.10}'),
    ]


def test_without_a_source_all_columns_go_out(tmp_path: Path) -> None:
    """A topic that no plan reads takes a file as it is, without keys."""
    first = next(events(Feed(payments(tmp_path), "other")))
    assert json.loads(first.value) == {"id": 0, "at": START, "card": 0, "amount": 0, "hidden": 1}
    assert (first.time, first.key) == (START, None)
    days = payments(tmp_path, at=pa.array([date(1970, 1, 2)] * 4))
    assert json.loads(next(events(Feed(days, "other"))).value)["at"] == 86_400_000


@pytest.mark.parametrize(
    "written", ["2018-04-01T00:00:00Z", "2018-04-01 00:00:00+00:00", "2018-04-01T02:00:00+02:00", str(START)]
)
def test_csv_has_the_sources_types(tmp_path: Path, written: str) -> None:
    """Times with their offset and as milliseconds; the other columns are read as the source declares them."""
    file = tmp_path / "payments.csv"
    file.write_text(f"id,at,card,amount\n1,{written},5,12.3\n")
    assert list(events(Feed(file, "payments", PAYMENTS, "card"))) == [
        Event(START, "payments", b"5", b'{"id":1,"at":1522540800000,"card":5,"amount":12.30}')
    ]


def test_finer_times_are_cut_to_milliseconds(tmp_path: Path) -> None:
    """As on the stream."""
    file = payments(tmp_path, at=pa.array([START * 1000 + i * 1_000_000 + 999 for i in range(4)], pa.timestamp("us", tz="UTC")))
    assert [event.time - START for event in events(Feed(file, "payments", PAYMENTS))] == [0, 1000, 2000, 3000]


def test_all_of_a_span_is_checked_beforehand(tmp_path: Path) -> None:
    """Its rows are counted, and its first bad value is named; what lies outside is not looked at, but for its time."""
    file = payments(tmp_path, amount=pa.array([1.5, 2.5, 3.5, 0.001]))
    with pytest.raises(SettingError, match=r"payments.parquet, rows of 'payments', row 4: column 'amount' is exact in decimal"):
        checked(Feed(file, "payments", PAYMENTS))
    assert checked(Feed(file, "payments", PAYMENTS), Span(end_ms=START + 3000)) == 3


def test_json_lines_go_out_as_they_stand(tmp_path: Path) -> None:
    """Where nothing has checked them, bad ones too: they are the stream's to judge. The key is as of any other file."""
    file = tmp_path / "payments.jsonl"
    good = b'{"card": 5.0, "at": "2018-04-01T00:00:00Z", "id": 1, "amount": 1.50, "more": [1]}'
    file.write_bytes(good + b"\nnot json\n\n[1]\n")
    one = Feed(file, "payments", PAYMENTS, "card")
    assert list(events(one)) == [
        Event(START, "payments", b"5", good),
        Event(0, "payments", None, b"not json"),
        Event(0, "payments", None, b"[1]"),
    ]
    with pytest.raises(SettingError, match="row 2: a line is one JSON object"):
        checked(one)


def test_a_span_of_json_lines_is_of_their_event_times(tmp_path: Path) -> None:
    """Milliseconds or ISO 8601; a topic that no service reads has none, and a span is refused."""
    file = tmp_path / "payments.jsonl"
    times = [str(START), '"2018-04-01T00:00:01Z"', '"2018-04-01T02:00:02+02:00"', str(START + 3000)]
    file.write_text("".join(f'{{"id": {number}, "at": {at}, "card": 1}}\n' for number, at in enumerate(times)))
    one = Feed(file, "payments", PAYMENTS, "card")
    assert [event.time - START for event in events(one, Span(START + 1000, START + 3000))] == [1000, 2000]
    assert checked(one, Span(START + 1000, START + 3000)) == 2
    with pytest.raises(SettingError, match="a span is of event times"):
        next(events(Feed(file, "other"), Span(START)))


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_files_out_of_order_are_merged_in_order(tmp_path: Path, suffix: str) -> None:
    """Of event time; rows of one time stay as in the file. A file alone keeps its own order."""
    offsets = [3000, 0, 2000, 0, 1000]
    file = tmp_path / f"payments.{suffix}"
    rows = [f"{number},{START + offset},1,1.5" for number, offset in enumerate(offsets)]
    if suffix == "parquet":
        at = pa.array([START + offset for offset in offsets], pa.timestamp("ms", tz="UTC"))
        file = payments(tmp_path, count=5, at=at)
    elif suffix == "csv":
        file.write_text("\n".join(["id,at,card,amount", *rows]))
    else:
        file.write_text("\n".join(f'{{"id": {number}, "at": {START + offset}}}' for number, offset in enumerate(offsets)))
    one = Feed(file, "payments", PAYMENTS, "card")
    found = [(event.time - START, json.loads(event.value)["id"]) for event in merged([one])]
    assert found == [(0, 1), (0, 3), (1000, 4), (2000, 2), (3000, 0)]
    assert [event.time - START for event in events(one)] == offsets


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_late_rows_are_merged_where_they_arrived(tmp_path: Path, suffix: str) -> None:
    """A source whose arrival is a column of times goes in the order of these, among the others' event times."""
    offsets, delays = [0, 1000, 2000, 3000], [0, 2500, 0, 0]
    late, file = msgspec.structs.replace(PAYMENTS, arrival="seen_at"), tmp_path / f"late.{suffix}"
    seen = [START + offset + delay for offset, delay in zip(offsets, delays, strict=True)]
    if suffix == "parquet":
        file = payments(tmp_path, "late.parquet", seen_at=pa.array(seen, pa.timestamp("ms", tz="UTC")))
    elif suffix == "csv":
        rows = [f"{number},{START + offsets[number]},1,1.5,{seen[number]}" for number in range(4)]
        file.write_text("\n".join(["id,at,card,amount,seen_at", *rows]))
    else:
        rows = [f'{{"id": {number}, "at": {START + offsets[number]}, "seen_at": {seen[number]}}}' for number in range(4)]
        file.write_text("\n".join(rows))
    prompt = payments(tmp_path)
    stream = merged([Feed(file, "late", late, "card"), Feed(prompt, "prompt", PAYMENTS, "card")], Span(START + 1))
    assert [(event.topic, event.time - START) for event in stream] == [
        ("prompt", 1000),
        ("late", 2000),
        ("prompt", 2000),
        ("late", 3000),
        ("prompt", 3000),
        ("late", 1000),
    ]


def test_an_arrival_that_is_no_time_leaves_the_order_of_event_time(tmp_path: Path) -> None:
    """A number, say an offset, orders rows of one key and time alone; in a CSV it could be a time, but one long before."""
    numbered = msgspec.structs.replace(PAYMENTS, arrival="hidden")
    table, text = payments(tmp_path, hidden=pa.array([4, 3, 2, 1])), tmp_path / "payments.csv"
    rows = [f"{number},{START + number * 1000},1,1.5,{4 - number}" for number in range(4)]
    text.write_text("\n".join(["id,at,card,amount,hidden", *rows]))
    for file in (table, text):
        assert [event.time - START for event in merged([Feed(file, "payments", numbered)])] == [0, 1000, 2000, 3000]


def test_a_csv_of_no_known_topic_keeps_its_digits(tmp_path: Path) -> None:
    """A column is numbers where all its fields are, and text else."""
    file = tmp_path / "any.csv"
    file.write_text('a,b,c,d,e\n1234567890123456.78,007,true,,x\n1e3,8,false,"",05/06/2024\n')
    assert [event.value for event in events(Feed(file, "any"))] == [
        b'{"a":1234567890123456.78,"b":"007","c":true,"d":null,"e":"x"}',
        b'{"a":1e3,"b":"8","c":false,"d":"","e":"05/06/2024"}',
    ]


def test_a_span_takes_its_first_moment_and_not_its_last(tmp_path: Path) -> None:
    """From is in, to is out."""
    found = events(Feed(payments(tmp_path), "payments", PAYMENTS), Span(START + 1000, START + 3000))
    assert [event.time - START for event in found] == [1000, 2000]


def test_merged_files_go_in_order_of_event_time(tmp_path: Path) -> None:
    """At equal times the file that was named first goes first."""
    one, two = payments(tmp_path, "one.parquet"), payments(tmp_path, "two.parquet", 2)
    order = [(event.time - START, event.topic) for event in merged([Feed(two, "two", PAYMENTS), Feed(one, "one", PAYMENTS)])]
    assert order == [(0, "two"), (0, "one"), (1000, "two"), (1000, "one"), (2000, "one"), (3000, "one")]


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
    assert feed(tmp_path, "payments", [plan]).required == {"id", "at", "card", "shop"}
    assert feed(tmp_path, "elsewhere", [plan]) == Feed(tmp_path, "elsewhere")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (pa.array([1.0, float("nan"), 2.0, 3.0]), r"row 2: column 'extra' is finite \(rule 5\); got nan"),
        (pa.array([1, 2, 3, 4], pa.time32("s")), r"row 1: column 'extra' is a number, a text, .* this is TIME"),
        (pa.array([[1], None, [2], [3]]), r"row 1: column 'extra' is a number, a text, .* this is BIGINT\[\]"),
    ],
)
def test_what_json_cannot_say_is_refused(tmp_path: Path, extra: pa.Array, message: str) -> None:
    """Of a file for a topic that no plan reads, too."""
    one = Feed(payments(tmp_path, extra=extra), "other")
    for reader in (checked, lambda feed: list(events(feed))):
        with pytest.raises(SettingError, match=message):
            reader(one)


@pytest.mark.parametrize(("name", "message"), [("none.parquet", "no file"), ("events.txt", "convert it")])
def test_a_file_that_is_no_event_file_is_refused(tmp_path: Path, name: str, message: str) -> None:
    """Missing, or of another kind."""
    (tmp_path / "events.txt").touch()
    with pytest.raises(SettingError, match=message):
        checked(Feed(tmp_path / name, "other"))


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    """The source's columns are all there, or the file is of another topic."""
    pq.write_table(pa.table({"id": [1], "at": pa.array([START], pa.timestamp("ms"))}), tmp_path / "short.parquet")
    with pytest.raises(SettingError, match="source 'payments' has column 'card' of type int64; got no such column"):
        list(events(Feed(tmp_path / "short.parquet", "payments", PAYMENTS)))


@pytest.mark.stack
def test_what_was_sent_before_a_bad_row_is_counted(broker: Broker, tmp_path: Path) -> None:
    """Where nothing has checked the file: the first events are in Kafka, and the error says how to go on after them."""
    broker.create_topics({"counted": 1})
    count = 200_001
    file = payments(tmp_path, count=count, amount=pa.array([*([1.5] * (count - 1)), 0.001]))
    client = {"bootstrap_servers": broker.bootstrap}
    with pytest.raises(SettingError, match=r"row 200001: .*; (\d+) events before it were sent; go on with --skip \1") as caught:
        publish(events(Feed(file, "counted", PAYMENTS, "card")), client)
    sent = int(str(caught.value).split("--skip ")[1])
    assert 0 < sent < count
    file = payments(tmp_path, count=count, amount=pa.array([1.5] * count))
    rest = islice(events(Feed(file, "counted", PAYMENTS, "card")), sent, None)
    assert publish(rest, client, skipped=sent).events == count - sent
    assert number_of(broker, "counted") == count


@pytest.mark.stack
def test_an_interruption_says_how_many_were_sent(broker: Broker, tmp_path: Path) -> None:
    """What Ctrl-C leaves in Kafka are the first events, so many."""
    broker.create_topics({"interrupted": 1})

    def interrupted() -> Iterator[Event]:
        yield from islice(events(Feed(payments(tmp_path, count=3000), "interrupted", PAYMENTS, "card")), 2000)
        raise KeyboardInterrupt

    done = publish(interrupted(), {"bootstrap_servers": broker.bootstrap})
    assert (done.events, done.interrupted) == (2000, True)
    assert number_of(broker, "interrupted") == 2000


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


def test_a_rate_does_not_drift() -> None:
    """An event that was held up does not hold up those after it."""
    clock, moments = Clock(), []
    for number, _ in enumerate(paced(at(*range(6)), at_rate(10), clock, clock.sleep)):
        moments.append(round(clock.now - 100, 3))
        clock.now += 0.25 if number == 1 else 0.01  # the second takes long
    assert moments == [0.0, 0.1, 0.35, 0.36, 0.4, 0.5]


def test_a_speed_follows_event_time() -> None:
    """Ten times as fast; an event that is late by its time goes out at once, and so does one that has none, a bad line."""
    clock, moments = Clock(), []
    for _ in paced(at(0, 5000, 6000, 9000, 7000, 15_000), at_speed(10), clock, clock.sleep):
        moments.append(round(clock.now - 100, 3))
    assert moments == [0.0, 0.0, 0.1, 0.4, 0.4, 1.0]
