"""The score among a model's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.inputs.matrix import Floats


def scores(session: Any, x: Floats) -> Floats:
    """The score of each row of ``x``, [n, inputs] → [n], by an ONNX Runtime session of one input.

    It is the last output's last column: the probability of the last class, 1 of 0 and 1, or a regression's one value.
    """
    outputs = session.run(None, {session.get_inputs()[0].name: x})
    found: Floats = np.asarray(outputs[-1], np.float32)
    return found[:, -1] if found.ndim == 2 else found
