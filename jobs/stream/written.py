"""Which records had their dead letter before a job began: it reads its topics from the start again, and need not repeat them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from typing import Any

import msgspec
import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from schemas import Origin
from schemas.topics import DEAD_LETTERS

NEWEST = 20_000
"""Dead letters of each partition that are read; one before these may be written again, under the same key."""
SECONDS = 20.0
"""How long that may take. Dead letters may be megabytes each."""
POLL_MS = 500

log = structlog.get_logger()


class _Letter(msgspec.Struct):
    """The part of a dead letter that says which record it is of."""

    origin: Origin
    arrived_at: int


def written(client: Mapping[str, Any], topics: Collection[str]) -> dict[str, str]:
    """What `headrace.formats.Written` is told of each topic; nothing where the dead letters cannot be read."""
    known: dict[str, set[str]] = {}
    try:
        for letter in _letters(client):
            if letter.origin.topic in topics:
                known.setdefault(letter.origin.topic, set()).add(_told(letter))
    except KafkaError as error:
        log.warning("dead letters may be repeated: they cannot be read", error=repr(error))
    return {topic: "/".join(sorted(told)) for topic, told in known.items()}


def _told(letter: _Letter) -> str:
    return f"{letter.origin.partition}-{letter.origin.offset}-{letter.arrived_at}"


def _letters(client: Mapping[str, Any]) -> Iterator[_Letter]:
    """The newest dead letters, as they are now."""
    decode = msgspec.json.Decoder(_Letter).decode
    deadline = time.monotonic() + SECONDS
    with closing(KafkaConsumer(**client, enable_auto_commit=False)) as consumer:
        places = [TopicPartition(DEAD_LETTERS.name, number) for number in consumer.partitions_for_topic(DEAD_LETTERS.name) or ()]
        if not places:
            return
        consumer.assign(places)
        begins, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, max(begins[place], ends[place] - NEWEST))
        while time.monotonic() < deadline and any(consumer.position(place) < ends[place] for place in places):
            for record in (record for some in consumer.poll(timeout_ms=POLL_MS).values() for record in some):
                try:
                    yield decode(record.value or b"")
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # it is none of ours
