"""Predictions as they are read, each with its place."""

from __future__ import annotations

from typing import NamedTuple

from schemas import Prediction


class Received(NamedTuple):
    """A prediction of a stream."""

    place: str
    """Where reading goes on after it: keep it, and give it as ``after``."""
    prediction: Prediction
