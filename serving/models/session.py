"""A model loaded, checked and warm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort

from features.errors import SettingError
from features.inputs.matrix import matrix
from features.inputs.output import scores
from schemas.features import Value
from serving.models.manifest import Manifest, Model, read_onnx


class Scored(NamedTuple):
    """What a model gives for some input vectors, in their order."""

    scores: list[float]
    """Not finite where the model gave no number."""
    outputs: list[dict[str, Any]] | None = None
    """Its other outputs, by name; None where there is no more than the score."""


class LoadedModel:
    """A version that is ready to score."""

    def __init__(self, model: Model) -> None:
        self.manifest = model.manifest
        self._session = load_session(model)

    def score(self, rows: Sequence[tuple[Value, ...]]) -> Scored:
        """What the model gives for input vectors, a row each, in the order of the manifest's inputs. None is a null."""
        return Scored(scores(self._session, matrix(rows)).tolist())


def load_model(model: Model) -> LoadedModel:
    """``model`` loaded, its bytes checked. Raises `SettingError` where it cannot be put in service here."""
    return LoadedModel(model)


def load_session(model: Model) -> ort.InferenceSession:
    """A session for ``model``, warm, on one thread: a second one waits more than it helps in batches this small.

    The bytes are checked again, and handed over as bytes, so that what is scored is what was checked.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    onnx, manifest = read_onnx(model), model.manifest
    with _onnx_errors(manifest):
        session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    _check_width(manifest, session)
    with _onnx_errors(manifest):
        scores(session, np.zeros((1, len(manifest.inputs)), np.float32))
    return session


@contextmanager
def _onnx_errors(manifest: Manifest) -> Iterator[None]:
    """Within, what ONNX Runtime says against the model is a `SettingError`."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's errors have no common type, nor has what a score of another shape raises
        raise SettingError(
            f"model '{manifest.name}' {manifest.version}: a model is ONNX that gives a score for each row of float32 inputs; "
            f"ONNX Runtime says: {error}; register another version"
        ) from None


def _check_width(manifest: Manifest, session: ort.InferenceSession) -> None:
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 2 or shape[1] != len(manifest.inputs):
        raise SettingError(
            f"model '{manifest.name}' {manifest.version}: a model takes one [n, {len(manifest.inputs)}] input, a column for "
            f"each input of its manifest; got {[i.shape for i in inputs]}; register the model with its own inputs"
        )
