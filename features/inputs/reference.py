"""What a version was trained on, as counters: what its live inputs and scores are held against."""

from __future__ import annotations

from collections.abc import Collection
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
    """One input, a column of the event by which predictions are watched apart, or the score."""

    bins: Bins
    counts: tuple[int, ...]
    """How many of the trained values each cell has."""
    limits: dict[Length, tuple[Limit, ...]]
    """How far windows of training rows were from the others, the smallest windows first."""

    @property
    def name(self) -> str:
        """The input's, the column's, or `SCORE`."""
        return self.bins.name


class Segments(msgspec.Struct, frozen=True):
    """The rows of training by the cells of one histogram, and what the others were within each."""

    column: str
    """The input, or the column of the event."""
    names: tuple[str, ...]
    """What the values of each segment are, as `Bins.labels` has it; the last is all others."""
    of_cells: tuple[int, ...]
    """Which segment each cell of the column is of, [cells]."""
    histograms: tuple[tuple[Histogram, ...], ...]
    """[segments][all but the column itself, in the order of the reference]; without limits where there were too few rows."""

    def text(self, number: int) -> str:
        """A segment, for people and in an alarm's id."""
        return f"{self.column} is {self.names[number]}"


class Reference(msgspec.Struct, frozen=True, omit_defaults=True):
    """All inputs of a version, in the model's order, the columns of the event that it is watched by, and its score.

    Times are UTC milliseconds, of event time.
    """

    trained_from: int
    trained_until: int
    scored_from: int
    scored_until: int
    """The rows whose scores these are: after those of training, since scores of trained rows are better than any others."""
    histograms: tuple[Histogram, ...]
    segments: tuple[Segments, ...] = ()
    """By the columns that training was told; left out of the bytes where there are none, as before there were any."""

    def of_event(self, inputs: Collection[str]) -> tuple[str, ...]:
        """The columns of its segments that are none of the ``inputs``: receipts carry them beside those."""
        return tuple(one.column for one in self.segments if one.column not in inputs)

    def segment(self, text: str) -> tuple[Segments, int]:
        """The segment that `Segments.text` calls so: its column's, and its number."""
        return next((one, n) for one in self.segments for n in range(len(one.names)) if one.text(n) == text)


_reference = msgspec.json.Decoder(Reference).decode
"""Made as the module is imported: msgspec 0.22 may crash where two threads use a type for the first time."""


def encode_reference(reference: Reference) -> bytes:
    """As it is kept beside a manifest; equal references have equal bytes."""
    return msgspec.json.encode(reference)


def decode_reference(content: bytes) -> Reference:
    """What `encode_reference` made. Raises `msgspec.DecodeError` for other bytes."""
    return _reference(content)
