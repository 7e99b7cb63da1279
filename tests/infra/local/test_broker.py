"""The local broker: it starts, keeps its data and its port, and says why when it doesn't start."""

from __future__ import annotations

import re
import socket
import uuid
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from features.errors import SettingError, StackError
from infra.local import broker as module
from infra.local import topics
from infra.local.broker import Broker, Ports

pytestmark = pytest.mark.stack


def send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    """Send, and wait until the broker has them."""
    with closing(KafkaProducer(bootstrap_servers=bootstrap)) as producer:
        for value in values:
            producer.send(topic, value)
        producer.flush()


def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    """The first ``count`` values of partition 0."""
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=10_000)) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek_to_beginning()
        return [record.value for record, _ in zip(consumer, range(count), strict=False)]


def test_an_identity_that_begins_with_a_dash_is_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One random cluster id in 64 begins with a dash."""
    monkeypatch.setattr(module.uuid, "uuid4", lambda: uuid.UUID(bytes=b"\xf8" + bytes(15)))
    Broker(tmp_path).prepare()
    assert "cluster.id=-A" in (tmp_path / "data" / "meta.properties").read_text()


@pytest.mark.parametrize("name", ["José's shop \U0001f3ea", "a\\nb", "100 % = #1: one"])
def test_its_data_are_in_its_folder_whatever_that_is_called(name: str, tmp_path: Path) -> None:
    """Java reads a file of properties as Latin-1, and a backslash as the beginning of an escape."""
    for _ in ("the first start", "the next one"):  # which finds what the first has formatted
        Broker(tmp_path / name / "kafka").prepare()
    assert sorted(tmp_path.rglob("meta.properties")) == [tmp_path / name / "kafka" / "data" / "meta.properties"]


@pytest.mark.parametrize("mark", [",", "${"])
def test_a_folder_that_kafka_takes_for_others_is_refused(mark: str, tmp_path: Path) -> None:
    """``log.dirs`` is a list with commas: its data would lie beside the folder."""
    with pytest.raises(SettingError, match=re.escape(f"whose path has no '{mark}'")):
        Broker(tmp_path / f"a{mark}b" / "kafka")
    assert list(tmp_path.iterdir()) == []


def test_its_jvm_has_the_options_that_were_given(tmp_path: Path) -> None:
    """Settings can give it more memory, or another collector."""
    assert {"-Xmx300m", "-XX:+UseParallelGC"} <= set(Broker(tmp_path, jvm="-Xmx300m -XX:+UseParallelGC").prepare())


def test_a_restart_keeps_topics_records_and_port(tmp_path: Path) -> None:
    """The same folder is the same broker."""
    with Broker(tmp_path) as first:
        first.create_topics({"kept": 1})
        send(first.bootstrap, "kept", [b"1", b"2"])
    with Broker(tmp_path) as second:
        assert second.bootstrap == first.bootstrap
        second.create_topics({"kept": 1})  # is there already
        assert read(second.bootstrap, "kept", 2) == [b"1", b"2"]


def test_a_stopped_broker_leaves_no_process(tmp_path: Path) -> None:
    """Neither after stop, nor does stopping twice hurt."""
    started = Broker(tmp_path)
    started.start()
    pid = started.pid
    started.stop()
    started.stop()
    assert not psutil.pid_exists(pid)


def test_topics_have_their_partitions_and_limits(broker: Broker) -> None:
    """Partitions and configuration are those that were given."""
    topics.create({"bootstrap_servers": broker.bootstrap}, {"wide": 3}, {"max.message.bytes": "8388608"})
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap)) as consumer:
        assert consumer.partitions_for_topic("wide") == {0, 1, 2}
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap, max_request_size=8_000_000)) as producer:
        assert producer.send("wide", bytes(5_000_000)).get(30).topic == "wide"


def test_a_missing_topic_is_named_at_once(broker: Broker) -> None:
    """No client waits a minute for a topic that was misspelt."""
    client = {"bootstrap_servers": [broker.bootstrap]}
    broker.create_topics({"transactions": 1})
    topics.require(client, "transactions")
    with pytest.raises(SettingError, match=r"got 'transaction', Kafka has .*transactions"):
        topics.require(client, "transaction")


def test_a_taken_port_is_one_line_of_the_log(tmp_path: Path) -> None:
    """A broker that ends at its start says why."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
        port, free = taken.getsockname()[1], other.getsockname()[1]
        other.close()
        with pytest.raises(StackError, match="Kafka broker ended") as caught:
            Broker(tmp_path, Ports(port, free)).start()
    assert "\n" not in str(caught.value)


def test_no_java_is_one_line_of_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, and how to get it."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(StackError, match=r"need Java 17; found no java in JAVA_HOME; install a JDK 17"):
        Broker(tmp_path / "kafka").start()


def test_a_closed_port_does_not_reply() -> None:
    """Whether a broker replies is found out without an exception, and without a long wait."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not module.replies(f"127.0.0.1:{port}")
