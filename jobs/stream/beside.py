"""A job that runs beside another, which it is to take over from: ``beside.json``, in the folder of its checkpoints.

It gives vectors to events from some offsets of the spine's topic on, those that the other job may not come to. It has a consumer
group of its own: the other's offsets say how far that has read.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from features.disk import keep, kept
from jobs.stream.config import StreamConfig


class Beside(msgspec.Struct, frozen=True):
    """What is kept of it, for each of its starts."""

    vectors_from: dict[int, int]
    """By partition of the spine's topic, the offset of the first event that gets a vector."""


def record(state: Path, vectors_from: dict[int, int]) -> None:
    """Note that the job whose checkpoints are in ``state`` begins beside another."""
    keep(_file(state), Beside(vectors_from))


def recorded(state: Path) -> Beside | None:
    """What was noted; None where the job did not begin beside another."""
    return kept(_file(state), Beside)


def as_recorded(config: StreamConfig, state: Path) -> StreamConfig:
    """``config`` with what was noted in ``state``."""
    beside = recorded(state)
    if beside is None:
        return config
    return msgspec.structs.replace(config, sql=msgspec.structs.replace(config.sql, vectors_from=beside.vectors_from))


def _file(state: Path) -> Path:
    return state / "beside.json"
