"""The message on ``features.<service>``: one vector per event that was published to the service's spine."""

from __future__ import annotations

import msgspec

Value = int | float | str | bool | None
Values = list[int | float | bool]
"""A list's values, oldest first; none of them is null."""


class Origin(msgspec.Struct, frozen=True):
    """Where a record lay in Kafka: enough to read its bytes again."""

    topic: str
    partition: int
    offset: int

    @property
    def text(self) -> str:
        """``topic-partition-offset``."""
        return f"{self.topic}-{self.partition}-{self.offset}"


class FeatureVector(msgspec.Struct, frozen=True):
    """The windows of one event, as of its own time.

    ``event`` holds the spine's columns and ``features`` the values named ``<view>__<feature>``, a list for the last values; which
    of them exist is the plan's affair, and ``plan`` is the first 12 hex digits of its digest. Times are UTC milliseconds.
    """

    event_id: int | str
    event_time: int
    plan: str
    origin: Origin
    arrived_at: int
    """Kafka's timestamp of the event's record."""
    complete: bool
    """False where rows that the longest window should hold are older than the retained history (rule 6)."""
    event: dict[str, Value]
    features: dict[str, Value | Values]
    valid_until: dict[str, int | None] = {}
    """By view, when the next row leaves one of its windows: from then on its features are others, though nothing came. Null where
    no row is in any window."""
