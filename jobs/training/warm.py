"""Whether training can go on from a version: what it is made of is what the settings would make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features.errors import SettingError
from jobs.training.config import TrainConfig
from jobs.training.trainers import chosen, takes_start, trainers, why_no_start

SHAPE = ("layers", "width", "kernel")
"""The parameters that say how many weights a network has."""


def check_start(config: TrainConfig, who: str, lineage: Mapping[str, str], trained: Sequence[str], inputs: Sequence[str]) -> None:
    """Raises `SettingError` where training by ``config`` cannot go on from the version ``who``, which was trained on ``trained``.

    A network is its ONNX graph, whose weights are all of it.
    """
    if not takes_start(config.trainer):
        able = ", ".join(name for name in trainers() if takes_start(name))
        raise SettingError(
            f"a warm start goes on from production's weights, as {able} can; got trainer '{config.trainer}': "
            f"{why_no_start(config.trainer)}; leave --warm-start out"
        )
    if lineage.get("trainer") != config.trainer or "method" in lineage:
        made = "compressed" if "method" in lineage else f"made by {lineage.get('trainer', 'another trainer')}"
        raise SettingError(
            f"a warm start goes on from a version that trainer '{config.trainer}' made; {who} was {made}; leave --warm-start out"
        )
    _, parameters = chosen(config)
    for name in SHAPE:
        if name in parameters and lineage.get(name) != str(parameters[name]):
            raise SettingError(
                f"a warm start goes on with a network of the same shape; {who} has {name} = {lineage.get(name)}, and the "
                f"settings say {parameters[name]}; leave --warm-start out, or set it as it was"
            )
    if tuple(trained) != tuple(inputs):
        raise SettingError(
            f"a warm start goes on with the same inputs; those of {who} are others now, or in another order; leave "
            "--warm-start out"
        )
