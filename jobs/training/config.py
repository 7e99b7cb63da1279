"""What training is told."""

from __future__ import annotations

import msgspec


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a service's model learns, how, and how it is tested: the keys of ``[train.<service>]`` (docs/training.md).

    Nothing has a default here: defaults, bounds and meanings are the settings'.
    """

    label: str
    group: str | None
    group_top: int
    leave_out_known_positives: bool
    trees: int
    depth: int
    learning_rate: float
    seed: int
