"""The message on ``dead_letters``: a record that could not be used, whole, with the reason."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from schemas.features import Origin

Reason = Literal[
    "empty",  # the record has no value (a tombstone)
    "not_json",  # not UTF-8 JSON, or not one JSON object
    "wrong_type",  # a column's value does not fit its type
    "missing_key",  # an entity key or the event id is absent or null
    "missing_time",  # the event time is absent or null
    "time_out_of_bounds",  # before 1970, or further ahead of the clock than the bound (rule 8)
    "not_finite",  # NaN or an infinity (rule 5)
    "too_large",  # its feature vector, or its prediction, would be longer than Kafka takes
    "unscorable",  # a feature vector that the scorer could not use
]
REASONS: tuple[str, ...] = get_args(Reason)


class DeadLetter(msgspec.Struct, frozen=True):
    """One bad record: why, from where, and its bytes (base64 in JSON, as msgspec and Flink both write ``bytes``).

    The key of its record in Kafka is the text of its origin. A restart may write a dead letter again, with the same key.
    """

    reason: Reason
    detail: str
    """One line for a person: the column, and what came."""
    origin: Origin
    arrived_at: int
    value: bytes | None
    """None also where they are more than the topic takes; the detail says so."""
