"""ONNX Runtime's sessions, the same where a model is trained, added and served."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from functools import cache
from typing import Any, Literal, get_args

import msgspec
import onnxruntime as ort

from features.errors import SettingError

NOWHERE = "/nonexistent/headrace"
"""Where external data is looked for: a model is one file, and what was checked is what is scored."""
KEEP_QUIET = 4
"""ONNX Runtime's severity "fatal": errors reach us as exceptions."""


CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
OPTIONS = {CUDA: {"use_tf32": "0"}}
"""Of providers: a float32 product is one, not one of numbers rounded to 10 bits, which is CUDA's default and changes scores."""
Level = Literal["off", "basic", "extended", "all"]
LEVELS: tuple[Level, ...] = get_args(Level)
_LEVELS = dict(zip(LEVELS, ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"), strict=True))


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is run. The defaults hold everywhere; `headrace tune` measures what is better on a machine."""

    level: Level = "all"
    """How much ONNX Runtime rewrites the graph."""
    threads: int = 1
    """Of one run. By default one: a second one waits more than it helps in batches this small."""
    spinning: bool = False
    """Whether further threads wait by spinning: quicker to begin, and they take their core from others."""
    provider: str = CPU
    """What runs the graph, of those that are installed; what it can't run, the CPU does."""
    binding: bool = False
    """Whether tensors are bound to the session (IO binding) in place of being handed to each run."""
    rows_at_once: int = 0
    """The most rows of one run; a larger batch is run in parts. 0: all of a batch."""
    fixed: tuple[int, ...] = ()
    """Numbers of rows for which there is a session of that fixed shape."""


DEFAULT = Execution()


def open_session(onnx: bytes, execution: Execution = DEFAULT, shape: tuple[str, int] | None = None) -> Any:
    """A session that runs as ``execution`` says; ``shape`` fixes the free dimension of that name to a size.

    Raises `SettingError` for what is no ONNX, or needs what ONNX Runtime, or the file alone, does not have.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, _LEVELS[execution.level])
    options.intra_op_num_threads = execution.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = KEEP_QUIET
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)
    if not execution.spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if shape is not None:
        options.add_free_dimension_override_by_name(*shape)
    if execution.provider not in providers():
        raise SettingError(
            f"a model runs on a provider that is installed; got {execution.provider}; there are {', '.join(providers())}; "
            "install it, or tune the model again"
        )
    if execution.provider == CUDA:
        _load_cuda()
    wanted = list(dict.fromkeys((execution.provider, CPU)))
    said = "it falls back to the CPU"  # what a provider whose own libraries are missing does, without an error
    try:
        session = ort.InferenceSession(
            onnx, options, providers=wanted, provider_options=[OPTIONS.get(name, {}) for name in wanted], enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime's errors have no common type
        said = " ".join(str(error).split())
        if execution.provider == CPU:
            raise SettingError(_refusal(said)) from None
    else:
        if execution.provider in session.get_providers():
            return session
    raise SettingError(
        f"a model runs on a provider that works here; got {execution.provider}, which is installed and does not start "
        f"({said[:300]}); install what it needs, or tune the model again"
    )


@cache
def _load_cuda() -> None:
    """CUDA's libraries as pip installs them (``onnxruntime-gpu[cuda,cudnn]``), where the system has none."""
    with redirect_stdout(sys.stderr):  # what is missing is printed; a session that needs it does not start
        ort.preload_dlls()


def providers() -> tuple[str, ...]:
    """ONNX Runtime's execution providers that are installed here; `headrace` uses none that sends rows elsewhere."""
    return tuple(name for name in ort.get_available_providers() if name != "AzureExecutionProvider")


def free_rows(session: Any) -> str | None:
    """The name of the one free dimension that is every input's rows; None where it has none, and no shape can be fixed."""
    names = {one.shape[0] for one in session.get_inputs()}
    name = next(iter(names))
    return name if len(names) == 1 and isinstance(name, str) else None


def _refusal(said: str) -> str:
    """What to do about an error of ONNX Runtime, by what is in its text."""
    if "xternal data" in said or "xternal_data" in said:
        return "a model is one file; got one with external data; save it with its weights within (onnx.save_model(model, path))"
    came = f"ONNX Runtime {ort.__version__} says: {said[:300]}"
    if "opset" in said.lower() or "IR version" in said:
        return f"a model has an opset that ONNX Runtime has; {came}; convert it with a lower target_opset"
    if "No Op registered" in said or "is not a registered function/op" in said:
        return f"a model has ONNX's own operators; {came}; convert it without custom operators"
    return f"a model is ONNX that ONNX Runtime can load; {came}; convert it again"
