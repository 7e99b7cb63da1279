"""What a trainer gives: a model as ONNX, beside the library's own scores that it must agree with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from features.errors import HeadraceError
from features.inputs.matrix import Floats
from features.inputs.onnx import Onnx
from features.inputs.outputs import signature
from features.inputs.session import open_session
from features.inputs.signature import Signature, Tensor

Scores = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Labels = npt.NDArray[np.float64]
INPUT = "inputs"
"""The name of a trained model's one tensor, float32 [n, inputs]; NaN is a null."""
OPSET = 15


class Fitted(msgspec.Struct, frozen=True):
    """A fitted model."""

    onnx: bytes
    """One input, `INPUT`, and one number that is the score."""
    predict: Callable[[Floats], Scores]
    """The library's own scores of [n, inputs] → [n]: the chance of label 1, or the label itself."""
    agreement: float
    """How far an ONNX score may be from ``predict``'s, relative to the largest score where that is above 1."""


def onnx_scores(onnx: bytes, x: Floats) -> Labels:
    """The scores that a model of one float32 matrix gives for ``x``, [n, inputs] → [n], as the scorer takes them from it."""
    session = open_session(onnx)
    found = matrix_signature(session, x.shape[1])
    return np.array(Onnx(session, found).run({found.inputs[0].name: x}).scores, np.float64)


def matrix_signature(session: Any, width: int) -> Signature:
    """What a model of one float32 matrix [n, width], whatever its name, takes and gives."""
    taken = Tensor(session.get_inputs()[0].name, "float", tuple(map(str, range(width))), matrix=True)
    return signature(session, (taken,), {taken.name: np.zeros((2, width), np.float32)})


def agreeing_scores(fitted: Fitted, x: Floats, trainer: str) -> Labels:
    """`onnx_scores` of ``x``. Raises `HeadraceError` where they are not those of the trainer's library."""
    found, expected = onnx_scores(fitted.onnx, x), fitted.predict(x)
    allowed = fitted.agreement * max(1.0, float(np.abs(expected).max(initial=0)))
    apart = float(np.abs(found - expected).max(initial=0))
    if not apart <= allowed:
        raise HeadraceError(
            f"the ONNX scores of trainer '{trainer}' equal its library's within {allowed:g}; got {apart:g} apart; "
            "the converter has a fault: report it"
        )
    return found
