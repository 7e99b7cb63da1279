"""What is stored of a batch prediction: an entity's newest, until the next run brings another."""

from __future__ import annotations

import msgspec

from schemas.prediction import Output


class StoredPrediction(msgspec.Struct, frozen=True):
    """The score of one entity. Times are UTC milliseconds."""

    score: float
    model: str
    version: int
    plan: str
    """The first 12 hex digits of the plan's digest."""
    as_of: int
    """The time of what was known: of two predictions of an entity, the one of the later time is the newer."""
    computed_at: int
    """When its run began; of two of one time, the one of the later run is the newer."""
    valid_until: int | None
    """From when on it does not hold any more; null: it holds until another is stored."""
    outputs: dict[str, Output] | msgspec.UnsetType = msgspec.UNSET
    """What else the model said, as in a prediction."""


class FetchedPrediction(StoredPrediction, frozen=True, kw_only=True):
    """What ``GET /v1/predictions/{service}/{key}`` says. Times are UTC milliseconds."""

    service: str
    key: dict[str, int | str]
    """The entity's, by column."""
    age_ms: int
    """How long ago it was computed."""
