"""What training is told."""

from __future__ import annotations

import msgspec

from features.inputs.signature import Task


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a service's model learns, how, and how it is tested: the keys of ``[train.<service>]`` (docs/training.md).

    Defaults, bounds and meanings are the settings'; those of ``parameters`` are their trainer's.
    """

    label: str
    task: Task
    group: str | None
    group_top: int
    leave_out_known_positives: bool
    trainer: str
    """The name of a file of `jobs.training.trainers`."""
    segments: tuple[str, ...]
    """The inputs and columns of the event by whose values live rows are watched apart."""
    parameters: dict[str, int | float]
    """Those that are given, of the trainer's."""
