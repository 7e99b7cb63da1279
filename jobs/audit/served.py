"""What events were given: by their receipts, or by their feature vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from schemas import FeatureVector, Prediction


class Served(msgspec.Struct, frozen=True):
    """The values of one event. Times are UTC milliseconds."""

    event_id: int | str
    event_time: int
    plan: str
    """The first 12 hex digits of its plan's digest."""
    values: Mapping[str, Any]
    """By feature; of a receipt, a list is its columns."""
    whole: bool | None
    """Whether its windows were whole. None: the receipt names batch views without a row, and so does not tell; the feature
    vector does.
    """
    batch_as_of: Mapping[str, int] = {}
    incomplete: Mapping[str, str] = {}
    partition: int = 0
    """Of the feature vector, as of the prediction."""
    featured_at: int = 0
    """Kafka's timestamp of the feature vector: with the partition, where it lies."""


def of_vector(vector: FeatureVector) -> Served:
    """What the stream job gave: the windows' features."""
    return Served(vector.event_id, vector.event_time, vector.plan, vector.features, vector.complete)


def of_prediction(prediction: Prediction, partition: int) -> Served:
    """What the model was given."""
    receipt = prediction.receipt
    return Served(
        event_id=prediction.event_id,
        event_time=prediction.event_time,
        plan=receipt.plan,
        values=receipt.inputs,
        whole=None if receipt.incomplete else receipt.complete,
        batch_as_of=receipt.batch_as_of,
        incomplete=receipt.incomplete,
        partition=partition,
        featured_at=receipt.featured_at,
    )
