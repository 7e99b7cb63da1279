"""Every topic that Headrace writes: its name, its key, its partitions and its size limit. A source's topic is the user's own."""

from __future__ import annotations

import msgspec

from schemas import trace

KAFKA_BYTES = 1_048_588
"""The longest record that Kafka takes by default."""
LONGEST_BYTES = 8 * 1024 * 1024
"""The longest record that we write, whatever a topic takes: a producer holds it in memory."""


class Topic(msgspec.Struct, frozen=True):
    """A topic of ours, and what it is created with."""

    name: str
    key: str | None
    """What the key of its records is, in words; None: they have none."""
    partitions: int | None = None
    """How many it has, whatever the settings say; None: as many as the settings say."""
    max_message_bytes: int | None = None
    """The longest record that the broker and its producers take; None: Kafka's default, 1 MiB."""

    @property
    def config(self) -> dict[str, str]:
        """Kafka's settings of the topic."""
        return {} if self.max_message_bytes is None else {"max.message.bytes": str(self.max_message_bytes)}

    @property
    def longest(self) -> int:
        """The longest record that it takes, where it is as we make it."""
        return self.max_message_bytes or KAFKA_BYTES


FEATURES, PREDICTIONS, OUTCOMES = "features", "predictions", "outcomes"
"""What the names of a service's topics begin with, before a point and its name."""
PRODUCTION = "production"
"""The environment whose predictions are a service's; every other has a topic of its own."""
ENTITY_KEY = "the key of the service's first windows over its spine, or else the event id"


def features(service: str) -> Topic:
    """Feature vectors of a service."""
    return Topic(f"{FEATURES}.{service}", key=ENTITY_KEY)


def predictions(service: str, alias: str = PRODUCTION) -> Topic:
    """Predictions of a service in one environment: a prediction has the key and the partition of its feature vector."""
    return Topic(f"{PREDICTIONS}.{service}" + ("" if alias == PRODUCTION else f".{alias}"), key=ENTITY_KEY)


def outcomes(service: str) -> Topic:
    """Predictions of a service with their labels: of an event the last record counts."""
    return Topic(f"{OUTCOMES}.{service}", key="the event id")


DEAD_LETTERS = Topic("dead_letters", key="the origin of the record", partitions=1, max_message_bytes=LONGEST_BYTES)
"""Base64 makes a record of 1 MiB longer than Kafka's default limit."""
DETAIL_LENGTH = 200
"""Characters of a dead letter's detail."""
DEAD_LETTER_REST = 2048
"""What a dead letter takes beside its value: detail and origin, twice with its key."""
LATE_ROWS = Topic("late_rows", key=None, partitions=1)
DEPLOYMENTS = Topic("deployments", key="the service", partitions=1)
ALARMS = Topic("alarms", key="the id of the alarm", partitions=1)


def room(longest: int) -> int:
    """Bytes that the key and value of a record may have on a topic whose longest record is ``longest``.

    Kafka counts what it has around them and the record's headers too. Where the topic has a codec of its own it compresses anew,
    and noise grows by that.
    """
    return longest - 1024 - longest // 1024 - trace.BYTES


def dead_letter_value_bytes(longest: int) -> int:
    """The longest value that a dead letter holds, in base64, where ``longest`` is the longest record of their topic."""
    return max(0, (room(longest) - DEAD_LETTER_REST) // 4 * 3)
