"""``headrace tail`` on a real broker."""

from __future__ import annotations

import json
import uuid
from contextlib import closing
from itertools import takewhile
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from infra.cli import events, run
from infra.local.broker import Broker
from tests.support.headers import NoText
from tests.support.transactions import write

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(("isolation_level", "shown"), [(None, [2, 4]), ("read_uncommitted", [1, 2])])
def test_what_was_aborted_is_not_shown(
    broker: Broker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    isolation_level: str | None,
    shown: list[int],
) -> None:
    """Records of an aborted transaction never were, unless the settings say otherwise."""
    topic = f"tail-{uuid.uuid4().hex[:8]}"
    broker.create_topics({topic: 1})
    write(broker.bootstrap, topic, *((number % 2 == 0, [(0, b"%d" % number)]) for number in range(1, 5)))
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    if isolation_level:
        monkeypatch.setenv("HEADRACE_KAFKA__ISOLATION_LEVEL", isolation_level)
    assert run(["tail", topic, "--from-beginning", "--limit", "2", "--json", "--project", str(tmp_path)]) == 0
    assert [json.loads(line)["value"] for line in capsys.readouterr().out.splitlines()] == shown


def test_a_header_whose_name_is_no_text_ends_no_tail(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kafka takes such a record, so somebody may write one."""
    topic = f"tail-{uuid.uuid4().hex[:8]}"
    broker.create_topics({topic: 1})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=200)) as producer:
        for number in range(3):
            producer.send(topic, b"%d" % number, headers=[(NoText("x"), b"")])
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    assert run(["tail", topic, "--from-beginning", "--limit", "3", "--json", "--project", str(tmp_path)]) == 0
    assert [json.loads(line)["value"] for line in capsys.readouterr().out.splitlines()] == [0, 1, 2]


def test_what_kafka_deletes_meanwhile_is_passed_over(broker: Broker) -> None:
    """And nothing behind it: a reader that is slower than retention goes on with the oldest record that is left."""
    topic = f"tail-{uuid.uuid4().hex[:8]}"
    broker.create_topics({topic: 1})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap, batch_size=1)) as producer:
        for number in range(100):
            producer.send(topic, b"%d" % number)
    few = {"max_partition_fetch_bytes": 100, "fetch_max_bytes": 100}
    records = events._records({"bootstrap_servers": broker.bootstrap, **few}, topic, from_beginning=True)
    assert next(records).value == b"0"
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.delete_records({TopicPartition(topic, 0): 90})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        producer.send(topic, b"last")
    assert b"90" in [record.value for record in takewhile(lambda record: record.value != b"last", records)]
