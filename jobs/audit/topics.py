"""Kafka's topics as they are read once: from a time on, from the newest back, and single records by their origin.

``client`` is always what a kafka-python client is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import Any, TypeVar

import msgspec
from kafka import TopicPartition

from features.errors import StackError
from schemas import Origin
from schemas.codec import UNREADABLE
from schemas.kafka.consumer import KafkaConsumer

READER: dict[str, Any] = {
    "enable_auto_commit": False,
    "allow_auto_create_topics": False,
    "max_poll_records": 5000,
    "auto_offset_reset": "earliest",  # what retention deletes meanwhile is passed over, and not all up to the end
}
POLL_MS = 1000
STUCK_SECONDS = 30.0
BLOCK = 20_000
"""Records of a partition that are read at once, from the newest back."""
NEAR = 5000
"""Records that are read over, rather than sought past."""
DIGITS = 20
"""Of a whole number of 64 bits, at most."""
OnRead = Callable[[int, int], None]
"""Told how many records have been read, of how many."""
Message = TypeVar("Message")


def _number(text: str) -> int | float:
    """3.0 and 3e0 are 3, to the last digit: a key may be written so. What no double holds is in no column that is used."""
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond all reason
        return float(text)
    return int(number) if number.adjusted() < DIGITS and number == number.to_integral_value() else float(text)


decode_event = msgspec.json.Decoder(dict[str, Any], float_hook=_number).decode


def read(client: Mapping[str, Any], topic: str, start_ms: int | None = None, on_read: OnRead | None = None) -> Iterator[Any]:
    """The records of a topic, written at ``start_ms`` or later, up to its end as of now; none of a topic that is not there."""
    with closing(KafkaConsumer(**client, **READER)) as consumer:
        places = _places(consumer, topic)
        begins, ends = _begins(consumer, places, start_ms), consumer.end_offsets(places) if places else {}
        yield from between(consumer, begins, ends, on_read)


def newest_first(client: Mapping[str, Any], topic: str, on_read: OnRead | None = None) -> Iterator[Any]:
    """The records of a topic by blocks: the newest block of each partition before the ones before."""
    with closing(KafkaConsumer(**client, **READER)) as consumer:
        places = _places(consumer, topic)
        if not places:
            return
        firsts, ends = consumer.beginning_offsets(places), dict(consumer.end_offsets(places))
        total, done = sum(ends[place] - firsts[place] for place in places), 0
        while any(ends[place] > firsts[place] for place in places):
            begins = {place: max(firsts[place], ends[place] - BLOCK) for place in places}
            yield from between(consumer, begins, ends)
            done += sum(ends[place] - begins[place] for place in places)
            if on_read:
                on_read(done, total)
            ends = begins


def records_at(client: Mapping[str, Any], origins: Iterable[Origin], on_read: OnRead | None = None) -> Iterator[Any]:
    """The records that lie at ``origins``, as far as Kafka still has them."""
    wanted: dict[TopicPartition, set[int]] = {}
    for origin in origins:
        wanted.setdefault(TopicPartition(origin.topic, origin.partition), set()).add(origin.offset)
    total, done = sum(map(len, wanted.values())), 0
    with closing(KafkaConsumer(**client, **READER)) as consumer:
        for place, offsets in wanted.items():
            if place not in _places(consumer, place.topic):
                continue
            first, end = consumer.beginning_offsets([place])[place], consumer.end_offsets([place])[place]
            for run in _runs(sorted(offset for offset in offsets if first <= offset < end)):
                for record in between(consumer, {place: run[0]}, {place: run[-1] + 1}):
                    if record.offset in offsets:
                        done += 1
                        yield record
                if on_read:
                    on_read(done, total)


def rows_of(client: Mapping[str, Any], origins: Iterable[Origin], on_read: OnRead | None = None) -> dict[Origin, dict[str, Any]]:
    """The events that lie at ``origins``, as far as Kafka still has them."""
    found = ((origin_of(record), decoded(decode_event, record.value)) for record in records_at(client, origins, on_read))
    return {origin: event for origin, event in found if event is not None}


def written_at(client: Mapping[str, Any], topic: str, partition: int, written_ms: int, most: int = BLOCK) -> Iterator[Any]:
    """The first records of a partition that were written at ``written_ms`` or later."""
    with closing(KafkaConsumer(**client, **READER)) as consumer:
        place = TopicPartition(topic, partition)
        if place not in _places(consumer, topic):
            return
        begins, end = _begins(consumer, [place], written_ms), consumer.end_offsets([place])[place]
        yield from between(consumer, begins, {place: min(end, begins[place] + most)})


def origin_of(record: Any) -> Origin:
    """Where a record lies."""
    return Origin(record.topic, record.partition, record.offset)


def decoded(decode: Callable[[bytes], Message], value: bytes | None) -> Message | None:
    """A message; None where the record is none: anybody may write to a topic."""
    if value is None:
        return None
    try:
        return decode(value)
    except UNREADABLE:
        return None


def _runs(offsets: Sequence[int]) -> Iterator[list[int]]:
    """Offsets that lie near each other, together."""
    run: list[int] = []
    for offset in offsets:
        if run and offset - run[-1] > NEAR:
            yield run
            run = []
        run.append(offset)
    if run:
        yield run


def _places(consumer: Any, topic: str) -> list[TopicPartition]:
    places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(places)  # of another topic than it is assigned to, kafka-python 3.0.12 may forget the leaders
    return places


def _begins(consumer: Any, places: Sequence[TopicPartition], start_ms: int | None) -> dict[TopicPartition, int]:
    """Where to begin: a partition without a record of that time or later begins at its end."""
    if not places or start_ms is None:
        return dict(consumer.beginning_offsets(places)) if places else {}
    found, ends = consumer.offsets_for_times(dict.fromkeys(places, start_ms)), consumer.end_offsets(places)
    return {place: ends[place] if found.get(place) is None else found[place].offset for place in places}


def between(
    consumer: Any, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], on_read: OnRead | None = None
) -> Iterator[Any]:
    """The records between two offsets of each partition. Raises `StackError` where Kafka stops giving them."""
    left = {place: end for place, end in ends.items() if begins[place] < end}
    if not left:
        return
    consumer.assign(list(left))
    consumer.resume(*left)  # one that was paused stays so, although it is assigned anew
    for place in left:
        consumer.seek(place, begins[place])
    total, since = sum(end - begins[place] for place, end in left.items()), time.monotonic()
    while unread := [place for place in left if consumer.position(place) < left[place]]:
        consumer.pause(*(set(left) - set(unread)))
        polled = consumer.poll(timeout_ms=POLL_MS)
        for record in chain.from_iterable(polled.values()):
            if record.offset < left[TopicPartition(record.topic, record.partition)]:
                yield record
        if on_read:
            on_read(sum(min(consumer.position(place), end) - begins[place] for place, end in left.items()), total)
        if polled:
            since = time.monotonic()  # the time that the reader of these records took is not Kafka's
        elif time.monotonic() - since > STUCK_SECONDS:
            topics = ", ".join(sorted({place.topic for place in unread}))
            raise StackError(f"Kafka gave no record of {topics} in {STUCK_SECONDS:.0f} s; see 'headrace status', and try again")
