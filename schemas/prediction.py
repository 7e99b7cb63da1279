"""The message on ``predictions.<service>``: the score of one event and the receipt that lets anyone redo it."""

from __future__ import annotations

import msgspec

from schemas.features import Origin, Value

Output = Value | dict[str, float | int | str | None]


class Receipt(msgspec.Struct, frozen=True):
    """What is needed to compute the same score again, and when each step was done. Times are UTC milliseconds."""

    origin: Origin | None
    """Where the event lies in Kafka; None where the prediction was wanted over HTTP."""
    plan: str
    """The first 12 hex digits of the plan's digest."""
    model: str
    version: int
    sha256: str
    """Of the ONNX file."""
    inputs: dict[str, Value]
    """The input vector, by name, in the model's order."""
    batch_as_of: dict[str, int]
    """For each batch view, the time of the row that was read from the online store; a view without a row is absent."""
    complete: bool
    """False where the windows are not whole (the vector says so), and where a batch view had no row to use (``incomplete``)."""
    arrived_at: int
    """Kafka's timestamp of the event's record."""
    featured_at: int
    """Kafka's timestamp of the feature vector's record."""
    scored_at: int
    incomplete: dict[str, str] = {}
    """For each batch view without a row to use, why: ``missing``, ``too_old`` (beyond the view's ttl), ``too_new`` (of a time
    after the event's) or ``unread`` (the online store could not be read, and the HTTP service is to score all the same).
    """
    segments: dict[str, Value] | msgspec.UnsetType = msgspec.UNSET
    """Columns of the event by which predictions of the version are watched apart, though they are no inputs; of a text the first
    100 characters. Absent where there are none."""


class Prediction(msgspec.Struct, frozen=True):
    """The score of one event."""

    event_id: int | str
    event_time: int
    score: float
    receipt: Receipt
    outputs: dict[str, Output] | msgspec.UnsetType = msgspec.UNSET
    """What else the model said, by the names of its outputs: a value, or values by class. Absent where there is no more."""
