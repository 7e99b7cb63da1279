"""ONNX Runtime's sessions, the same where a model is trained, added and served."""

from __future__ import annotations

from typing import Any

import onnxruntime as ort

from features.errors import SettingError

NOWHERE = "/nonexistent/headrace"
"""Where external data is looked for: a model is one file, and what was checked is what is scored."""
KEEP_QUIET = 4
"""ONNX Runtime's severity "fatal": errors reach us as exceptions."""


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
