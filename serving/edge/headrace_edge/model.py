"""The model: from features to what ONNX Runtime is fed, and from what it gives to the score.

What is fed is what `features.inputs` makes: of a number the nearest double, of that the nearest float32, and NaN of a null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import onnxruntime as ort

from .errors import EdgeError, UnscorableError
from .plan import Model, Tensor

FLOATS = {"float": np.float32, "double": np.float64}
NOWHERE = "/nonexistent/headrace"
"""Where external data is looked for: a model is one file."""
FATAL = 4
"""ONNX Runtime's severity: errors reach us as exceptions."""


class Session:
    """A model that is loaded."""

    def __init__(self, content: bytes, model: Model) -> None:
        """Raises `EdgeError` where this ONNX Runtime does not load it."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = FATAL
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)
        try:
            self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common type
            said = " ".join(str(error).split())[:300]
            raise EdgeError(
                f"the model is ONNX that ONNX Runtime can load; {ort.__version__} says: {said}; install another version"
            ) from None
        self._model = model
        self._wanted = list(dict.fromkeys((model.score[0], *model.others)))

    def score(self, values: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
        """The score, and the other outputs by name, of one row of inputs by column. Raises `UnscorableError`."""
        fed = {tensor.name: _feed(tensor, [values[name] for name in tensor.columns]) for tensor in self._model.tensors}
        try:
            raw = dict(zip(self._wanted, self._session.run(self._wanted, fed), strict=True))
        except Exception as error:  # ONNX Runtime's errors have no common type
            raise UnscorableError(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from None
        name, place = self._model.score
        output = self._model.output(name)
        found = raw[name]
        score = found[0][output.classes[place]] if output.maps else found.reshape(1, -1)[0, place]
        if not math.isfinite(score):
            raise UnscorableError(f"model '{self._model.name}' {self._model.version} gave no finite score")
        return float(score), {name: self._other(name, raw[name]) for name in self._model.others}

    def _other(self, name: str, raw: Any) -> Any:
        output = self._model.output(name)
        if output.maps:
            return {str(key): finite(value) for key, value in raw[0].items()}
        values = [finite(value) for value in raw.reshape(-1).tolist()]
        return {str(one): value for one, value in zip(output.classes, values, strict=True)} if output.classes else values[0]


def number(value: Any) -> Any:
    """A feature as a model and a receipt have it: a decimal is the nearest double, or an int where it has no places."""
    if isinstance(value, Decimal):
        return int(value) if not value.as_tuple().exponent else float(value)
    return [number(one) for one in value] if isinstance(value, list) else value


def finite(value: Any) -> Any:
    """A value as JSON has it: null for NaN and infinities, as the scorer writes them."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@np.errstate(over="ignore")
def _feed(tensor: Tensor, row: list[Any]) -> Any:
    if tensor.type in FLOATS:
        try:
            made = np.array([[math.nan if value is None else float(value) for value in row]], FLOATS[tensor.type])
        except OverflowError:
            raise UnscorableError(f"{', '.join(tensor.columns)}: a number that a double does not hold") from None
    else:
        pairs = zip(tensor.columns, row, strict=True)
        made = np.array([[_cast(tensor.type, name, value) for name, value in pairs]], TYPES[tensor.type])
    return made if tensor.matrix else made[:, 0]


TYPES = {"int64": np.int64, "bool": np.bool_, "string": object}


def _cast(kind: str, name: str, value: Any) -> Any:
    if kind == "string" and (value is None or isinstance(value, str)):
        return value or ""
    if kind == "int64" and isinstance(value, int | float) and value == value // 1 and -(2**63) <= value < 2**63:
        return int(value)
    if kind == "bool" and isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise UnscorableError(f"a model's input of type {kind} does not hold {value!r:.40} in '{name}'")
