"""What a trainer gives: a model as ONNX, beside the library's own scores that it must agree with."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from features.errors import HeadraceError
from features.inputs.matrix import Floats

Scores = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Labels = npt.NDArray[np.float64]
INPUT = "inputs"
"""The name of a trained model's one tensor, float32 [n, inputs]; NaN is a null."""
OPSET = 15


class Fitted(msgspec.Struct, frozen=True):
    """A fitted model."""

    onnx: bytes
    """One input, `INPUT`; the last output's last column is the score."""
    predict: Callable[[Floats], Scores]
    """The library's own scores of [n, inputs] → [n]: the chance of label 1, or the label itself."""
    agreement: float
    """How far an ONNX score may be from ``predict``'s, relative to the largest score where that is above 1."""


def onnx_scores(onnx: bytes, x: Floats) -> Floats:
    """The scores that a trainer's ONNX gives for ``x``, [n, inputs] → [n]."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    found: Floats = np.asarray(session.run(None, {INPUT: x})[-1], np.float32)
    return found[:, -1] if found.ndim == 2 else found


def agreeing_scores(fitted: Fitted, x: Floats, trainer: str) -> Floats:
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
