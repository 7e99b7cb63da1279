"""The message on ``outcomes.<service>``: a prediction, and what is known of its label."""

from __future__ import annotations

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """What was predicted of one event, and what happened. Times are UTC milliseconds.

    The key of its record is the event id as text. There is one with the prediction, and one more with each label that counts: of
    an event the last one holds. A restart may write one again.
    """

    event_id: int | str
    key: str | None
    """That of the record of the prediction, an entity's; None where it has none."""
    event_time: int
    score: float
    plan: str
    """The first 12 hex digits of the plan's digest, as this and the next five are in the prediction's receipt."""
    model: str
    version: int
    sha256: str
    """Of the ONNX file."""
    complete: bool
    scored_at: int
    label: float | None
    """The label of the newest time within the horizon, of equal times the one that came last; None: none has come."""
    known_at: int | None
    """The time of the first label."""
    label_at: int | None
    """The time of the one that holds."""
    labels: int
    """How many have come, equal ones too."""
