"""Predictions as they are read, each with its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from schemas import Prediction
from schemas.codec import UNREADABLE, decode_prediction


class Received(NamedTuple):
    """A prediction of a stream."""

    place: str
    """Where reading goes on after it: keep it, and give it as ``after``."""
    prediction: Prediction


def received(place: str, value: bytes) -> Iterator[Received]:
    """The prediction of a record; none where it is none: anybody may write to a topic, and who reads on would meet it again."""
    try:
        prediction = decode_prediction(value)
    except UNREADABLE:
        return
    yield Received(place, prediction)
