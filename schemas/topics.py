"""Every topic that Headrace writes: its name, its key, its partitions and its size limit. A source's topic is the user's own."""

from __future__ import annotations

import msgspec


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


FEATURES, PREDICTIONS = "features", "predictions"
"""What the names of a service's topics begin with, before a point and its name."""
ENTITY_KEY = "the key of the service's first windows over its spine, or else the event id"


def features(service: str) -> Topic:
    """Feature vectors of a service."""
    return Topic(f"{FEATURES}.{service}", key=ENTITY_KEY)


def predictions(service: str) -> Topic:
    """Predictions of a service: a prediction has the key and the partition of its feature vector."""
    return Topic(f"{PREDICTIONS}.{service}", key=ENTITY_KEY)


DEAD_LETTERS = Topic("dead_letters", key=None, partitions=1, max_message_bytes=8 * 1024 * 1024)
"""Base64 makes a record of 1 MiB longer than Kafka's default limit."""
DEAD_LETTER_VALUE_BYTES = 512 * 1024
"""The longest value that the scorer puts into a dead letter. In base64 it is two thirds of what Kafka takes by default, so that
it fits a topic that was created without our limit: a record that Kafka refuses would stop the scorer for good."""
LATE_ROWS = Topic("late_rows", key=None, partitions=1)
