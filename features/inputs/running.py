"""A session's runs as `Execution` has them: in parts, bound, or by a session of a fixed shape."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from features.inputs.feeds import Feed
from features.inputs.onnx import Onnx, Run
from features.inputs.session import DEFAULT, Execution, free_rows, open_session
from features.inputs.signature import Signature


def open_model(content: bytes, signature: Signature, execution: Execution = DEFAULT) -> Onnx:
    """A model that runs as ``execution`` says.

    Raises `SettingError` as `open_session` does. A shape that has no free rows to fix is scored as it is.
    """
    session = open_session(content, execution)
    run = _bound(session) if execution.binding else session.run
    rows = free_rows(session)
    if execution.fixed and rows:
        sessions = {size: open_session(content, execution, (rows, size)) for size in execution.fixed}
        run = _by_size(run, {size: _bound(one) if execution.binding else one.run for size, one in sessions.items()})
    if execution.rows_at_once:
        run = _in_parts(run, execution.rows_at_once)
    return Onnx(session, signature, run)


def _bound(session: Any) -> Run:
    def run(names: list[str], fed: Mapping[str, Feed]) -> list[Any]:
        binding = session.io_binding()
        for name, values in fed.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(values))
        for name in names:
            binding.bind_output(name)
        session.run_with_iobinding(binding)
        found: list[Any] = binding.copy_outputs_to_cpu()
        return found

    return run


def _by_size(free: Run, fixed: Mapping[int, Run]) -> Run:
    def run(names: list[str], fed: Mapping[str, Feed]) -> list[Any]:
        return fixed.get(_rows(fed), free)(names, fed)

    return run


def _in_parts(whole: Run, most: int) -> Run:
    def run(names: list[str], fed: Mapping[str, Feed]) -> list[Any]:
        rows = _rows(fed)
        if rows <= most:
            return whole(names, fed)
        parts = [
            whole(names, {name: values[first : first + most] for name, values in fed.items()}) for first in range(0, rows, most)
        ]
        return [_joined(of) for of in zip(*parts, strict=True)]

    return run


def _joined(parts: tuple[Any, ...]) -> Any:
    """The outputs of parts as one: tensors, or lists of maps."""
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else list(chain.from_iterable(parts))


def _rows(fed: Mapping[str, Feed]) -> int:
    return len(next(iter(fed.values())))
