"""Fine-tuning: a network that was made smaller learns on, from where it is, on the rows of training that have a label."""

from __future__ import annotations

import msgspec
import numpy as np

from features.errors import HeadraceError, SettingError
from jobs.compress.candidate import Learnt, RefusedError
from jobs.training.networks import check_extra

MIN_ROWS = 2


class Tuned(msgspec.Struct, frozen=True):
    """A network after fine-tuning."""

    onnx: bytes
    rows: int
    """How many rows with a label it was tuned on; 0: it was not."""
    epochs: int
    """After how many epochs it was best on the rows held out; 0: as it was before."""


def tuned(onnx: bytes, learnt: Learnt, *, epochs: int, learning_rate: float, seed: int, zeros_stay: bool = False) -> Tuned:
    """``onnx`` trained on; as it is where ``epochs`` is 0 or no row has a label, which `Tuned.rows` says.

    Raises `RefusedError` where the extra is missing, and where `jobs.training.networks.learn.learn` raises an error: for an
    operator that it does not know, say; `SettingError` for parameters out of bounds.
    """
    labelled = ~np.isnan(learnt.labels)
    if epochs < 0 or not 0 < learning_rate <= 1:
        raise SettingError(
            f"fine-tuning takes 0 or more epochs and a learning_rate above 0, up to 1; got {epochs} and {learning_rate:g}"
        )
    if epochs == 0 or labelled.sum() < MIN_ROWS:
        return Tuned(onnx, 0, 0)
    try:
        check_extra("fine-tuning, which epochs=0 leaves out,")
        from jobs.training.networks.learn import Recipe, learn

        recipe = Recipe(epochs=epochs, learning_rate=learning_rate, seed=seed, zeros_stay=zeros_stay)
        learned = learn(onnx, learnt.x[labelled], learnt.labels[labelled], learnt.task, recipe)
    except HeadraceError as error:  # of this method: others may still do
        raise RefusedError(str(error)) from None
    return Tuned(learned.onnx, int(labelled.sum()), learned.epochs)
