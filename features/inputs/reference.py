"""What a version was trained on, as counters: what its live inputs and scores are held against."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from features.inputs.bins import Bins
from features.inputs.drift import Limit
from features.times import DAY_MS

SCORE = "score"
"""The histogram of the scores; no input is called so."""
Length = Literal["hour", "day"]
LENGTHS: tuple[Length, ...] = get_args(Length)
LENGTH_MS: dict[Length, int] = {"hour": DAY_MS // 24, "day": DAY_MS}
"""Of the windows that live values are counted by: UTC hours, or UTC days."""


class Histogram(msgspec.Struct, frozen=True):
    """One input, or the score."""

    bins: Bins
    counts: tuple[int, ...]
    """How many of the trained values each cell has."""
    limits: dict[Length, tuple[Limit, ...]]
    """How far windows of training rows were from the others, the smallest windows first."""

    @property
    def name(self) -> str:
        """The input's, or `SCORE`."""
        return self.bins.name


class Reference(msgspec.Struct, frozen=True):
    """All inputs of a version, in the model's order, and its score. Times are UTC milliseconds, of event time."""

    trained_from: int
    trained_until: int
    scored_from: int
    scored_until: int
    """The rows whose scores these are: after those of training, since scores of trained rows are better than any others."""
    histograms: tuple[Histogram, ...]


def encode_reference(reference: Reference) -> bytes:
    """As it is kept beside a manifest; equal references have equal bytes."""
    return msgspec.json.encode(reference)


def decode_reference(content: bytes) -> Reference:
    """What `encode_reference` made. Raises `msgspec.DecodeError` for other bytes."""
    return msgspec.json.decode(content, type=Reference)
