"""The same over Kafka: events to their topic, and predictions from theirs, from any place that the client over HTTP has too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, Literal

import msgspec
from kafka import KafkaProducer, TopicPartition

from schemas import topics
from schemas.kafka.consumer import KafkaConsumer
from schemas.places import offsets_of, place_text
from serving.client.received import Received, received

POLL_MS = 500
RECORDS = 1000
METADATA_MS = 30_000
"""How soon a partition that is added is seen."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


class KafkaClient:
    """Events and predictions on one Kafka. ``settings`` are those that every client of kafka-python takes.

    kafka-python itself tries again, within ``request_timeout_ms`` and ``delivery_timeout_ms``; its errors are raised as they are.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def publish(self, topic: str, events: Iterable[Mapping[str, Any]], *, key: str | None = None) -> int:
        """Publish events, each once, and return when Kafka has all of them; gives how many they were.

        ``key`` is the column by which a topic with several partitions is parted (docs/messages.md).
        """
        count, sent = 0, list[Any]()
        options = {"acks": "all", "enable_idempotence": True, "linger_ms": 5, "max_request_size": topics.LONGEST_BYTES}
        with closing(KafkaProducer(**{**options, **self._settings})) as producer:
            for event in events:
                count += 1
                name = None if key is None else str(event[key]).encode()
                sent.append(producer.send(topic, _encode(event), key=name))
                if len(sent) == RECORDS:
                    _wait(sent)
            _wait(sent)
        return count

    def predictions(
        self, service: str, *, after: str | None = None, start: Literal["beginning", "end"] = "end", until_end: bool = False
    ) -> Iterator[Received]:
        """The predictions of a service as they come, in each partition in its order.

        Those after a place, else from the beginning or from now on; with ``until_end``, those that are there now. Partitions that
        a place does not have are read from their beginning, and so are those that are added meanwhile. Raises `ValueError` for
        what is no place, and kafka-python's `OffsetOutOfRangeError` for one that is no longer kept.
        """
        topic = topics.predictions(service).name
        reading = {"auto_offset_reset": "none", "enable_auto_commit": False, "max_poll_records": RECORDS}
        settings = {**reading, "metadata_max_age_ms": METADATA_MS, **self._settings}
        with closing(KafkaConsumer(**settings)) as consumer:
            parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
            first, last = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
            known = offsets_of(after) if after is not None else {}
            begin = first if after is not None or start == "beginning" else last
            offsets = {part.partition: known.get(part.partition, begin[part]) for part in parts}
            _go_on(consumer, topic, offsets)
            while not until_end or any(consumer.position(part) < last[part] for part in parts):
                if not until_end and (added := (consumer.partitions_for_topic(topic) or set()) - offsets.keys()):
                    offsets |= dict.fromkeys(added, 0)
                    _go_on(consumer, topic, offsets)
                for part, records in consumer.poll(timeout_ms=POLL_MS).items():
                    for record in records:
                        offsets[part.partition] = record.offset + 1
                        if record.value is not None:
                            yield from received(place_text(offsets), record.value)


def _go_on(consumer: Any, topic: str, offsets: Mapping[int, int]) -> None:
    consumer.assign([TopicPartition(topic, number) for number in offsets])
    for number, offset in offsets.items():
        consumer.seek(TopicPartition(topic, number), offset)


def _wait(sent: list[Any]) -> None:
    """Until Kafka has what was sent; raises what it said of one that it has not."""
    for one in sent:
        one.get()
    sent.clear()
