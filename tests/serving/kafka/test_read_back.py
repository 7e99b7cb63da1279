"""What a scorer reads back, of partitions that differ and in which not every offset is a record; on a real broker."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import closing

import msgspec
import pytest
from kafka import KafkaConsumer, KafkaProducer

from infra.local.broker import Broker
from serving.kafka.predicted import Predicted, read_back
from tests.support.transactions import write

pytestmark = pytest.mark.stack

BEGAN = 1_700_000_000_000


def test_all_partitions_are_read_back_to_one_moment(broker: Broker) -> None:
    """Of a busy partition more is remembered than of a quiet one: what was predicted at one time is remembered, or is not."""
    topic = new_topic(broker)
    times = [BEGAN + 1000 * number for number in range(1000)]
    send(broker, topic, [(0 if number % 10 else 1, number, time) for number, time in enumerate(times)])
    predicted = read(broker, topic, 400)
    assert 380 <= len(predicted) <= 400
    remembered = [number for number in range(1000) if not predicted.first_time(number)]
    assert remembered == list(range(1000 - len(remembered), 1000)), "the newest, of both"


def test_of_one_millisecond_some_are_read_back(broker: Broker) -> None:
    """As many as the window holds, though no moment parts them."""
    topic = new_topic(broker)
    send(broker, topic, [(number % 2, number, BEGAN) for number in range(100)])
    assert len(read(broker, topic, 7)) == 7


def test_all_is_read_back_where_it_is_less_than_the_window(broker: Broker) -> None:
    """From the first record on; a partition without one, and no partition at all, are none the worse."""
    topic = new_topic(broker)
    send(broker, topic, [(0, number, BEGAN + number) for number in range(10)])
    assert len(read(broker, topic, 1000)) == 10
    assert len(read(broker, topic, 1000, partitions=())) == 0


@pytest.mark.parametrize(("isolation_level", "known"), [("read_committed", {1, 3}), ("read_uncommitted", {1, 2, 3, 4})])
def test_marks_of_transactions_do_not_keep_it_waiting(broker: Broker, isolation_level: str, known: set[int]) -> None:
    """The last offsets of a partition are no records where a transaction ended there; what was aborted is not known."""
    topic = new_topic(broker)
    write(broker.bootstrap, topic, *((number % 2 == 1, [(0, value(number)), (1, b"no id")]) for number in range(1, 5)))
    predicted = read(broker, topic, 1000, isolation_level=isolation_level)
    assert {number for number in range(1, 6) if not predicted.first_time(number)} == known


def test_what_is_no_prediction_keeps_no_scorer_from_starting(broker: Broker) -> None:
    """Whatever its bytes are: anybody may write to a topic, and a scorer reads it back at every start."""
    topic = new_topic(broker)
    deep = b'{"event_id":2,"x":' + b"[" * 2000 + b"]" * 2000 + b"}"
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for written in (b"", None, b'{"event_id":"\xff"}', deep, value(3)):
            producer.send(topic, value=written, key=b"k", partition=0)
    predicted = read(broker, topic, 1000)
    assert len(predicted) == 1
    assert not predicted.first_time(3)


def new_topic(broker: Broker) -> str:
    """A topic of two partitions."""
    topic = f"read-back-{uuid.uuid4().hex[:8]}"
    broker.create_topics({topic: 2})
    return topic


def value(number: int) -> bytes:
    """A prediction, as far as it is read back."""
    return msgspec.json.encode({"event_id": number})


def send(broker: Broker, topic: str, records: Sequence[tuple[int, int, int]]) -> None:
    """Write (partition, event id, time) as predictions."""
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=5)) as producer:
        for partition, number, time in records:
            producer.send(topic, value=value(number), partition=partition, timestamp_ms=time)
        producer.flush()


def read(
    broker: Broker, topic: str, window: int, partitions: Sequence[int] = (0, 1), isolation_level: str = "read_committed"
) -> Predicted:
    """What is read back."""
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, isolation_level=isolation_level)) as consumer:
        return read_back(consumer, topic, partitions, window)
