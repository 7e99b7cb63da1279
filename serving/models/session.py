"""A model loaded, checked and warm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnxruntime as ort
import pyarrow as pa

from features.errors import SettingError
from features.inputs.onnx import Onnx, Scored, ScoredTable
from features.inputs.outputs import no_score
from features.plan import Plan
from schemas.features import Value
from serving.models import golden
from serving.models.manifest import Manifest, Model, read_golden, read_onnx

NOWHERE = "/nonexistent/headrace"
"""Where external data is looked for: a model is one file, and what was checked is what is scored."""
KEEP_QUIET = 4
"""ONNX Runtime's severity "fatal": errors reach us as exceptions."""


class LoadedModel:
    """A version that is ready to score."""

    def __init__(self, manifest: Manifest, onnx: Onnx) -> None:
        self.manifest = manifest
        self._onnx = onnx

    def score(self, rows: Sequence[tuple[Value, ...]]) -> Scored:
        """What the model gives for input vectors, a row each, in the order of the manifest's inputs. None is a null.

        Raises `DefinitionError` for a value that an input does not hold, and what ONNX Runtime raises.
        """
        return self._onnx.score(rows)

    def score_table(self, table: pa.Table, plan: Plan) -> ScoredTable:
        """The same for the rows of a table of features, and why those without a score have none."""
        return self._onnx.score_table(table, plan, no_score(self.manifest.name, self.manifest.version))


def load_model(model: Model) -> LoadedModel:
    """``model`` loaded, its bytes checked, and warm: it answered its golden batch as it did when it was added.

    Raises `SettingError` where it cannot be put in service here.
    """
    manifest, content, batch = model.manifest, read_onnx(model), golden.read(read_golden(model))
    try:
        onnx = Onnx(open_session(content), manifest.signature)
        golden.replay(onnx, batch, manifest.onnxruntime)
    except SettingError as error:
        raise SettingError(f"model '{manifest.name}' {manifest.version}: {error}") from None
    return LoadedModel(manifest, onnx)


def open_session(onnx: bytes) -> Any:
    """A session on one thread: a second one waits more than it helps in batches this small.

    Raises `SettingError` for what is no ONNX, or needs what ONNX Runtime, or the file alone, does not have.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = KEEP_QUIET
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)
    try:
        return ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common type
        raise SettingError(_refusal(str(error))) from None


def _refusal(said: str) -> str:
    """What to do about an error of ONNX Runtime, by what is in its text."""
    if "xternal data" in said or "xternal_data" in said:
        return "a model is one file; got one with external data; save it with its weights within (onnx.save_model(model, path))"
    came = f"ONNX Runtime {ort.__version__} says: {' '.join(said.split())[:300]}"
    if "opset" in said.lower() or "IR version" in said:
        return f"a model has an opset that ONNX Runtime has; {came}; convert it with a lower target_opset"
    if "No Op registered" in said or "is not a registered function/op" in said:
        return f"a model has ONNX's own operators; {came}; convert it without custom operators"
    return f"a model is ONNX that ONNX Runtime can load; {came}; convert it again"
