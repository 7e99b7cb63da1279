"""Which records had their dead letter before a job began: it reads its topics from the start again, and need not repeat them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

import msgspec
import structlog
from kafka.errors import KafkaError

from schemas import Origin
from schemas.codec import UNREADABLE
from schemas.kafka.consumer import KafkaConsumer
from schemas.kafka.newest import newest_letters

SECONDS = 20.0
"""How long the look may take."""

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
    with closing(KafkaConsumer(**client, enable_auto_commit=False)) as consumer:
        for value in newest_letters(consumer, SECONDS):
            with suppress(*UNREADABLE):  # what is no dead letter is of no record
                yield decode(value or b"")
