"""How much a process's resident memory grows by a model: run in a fresh process, ``python -m jobs.compress.resident FILE``."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from onnx import TensorProto, helper

from features.errors import HeadraceError
from features.inputs.session import open_session

ROWS = 256
"""Of the batch that is scored once: what a session needs to run is of its memory too."""
PROCESSES = 3
"""The median of so many is taken: an allocator rounds to pages, and not each time alike."""


def growth(onnx: bytes) -> int:
    """Bytes that the resident memory of a fresh process grows by when it loads ``onnx`` and scores `ROWS` rows.

    The file, the session, and what the session allocates to run; not the ONNX Runtime itself, which has run a model before.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(onnx)
        return round(median(_of_a_process(file) for _ in range(PROCESSES)))


def main(file: Path) -> int:
    """The same, of this process."""
    _score(_smallest())
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    kept = file.read_bytes()
    session = _score(kept)
    gc.collect()
    grown = int(process.memory_info().rss - before)
    del session
    return grown


def _of_a_process(file: Path) -> int:
    command = [sys.executable, "-m", "jobs.compress.resident", str(file)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise HeadraceError(f"a process of its own loads the model, to measure its memory; it ended with: {last}; report it")
    return int(done.stdout)


def _score(onnx: bytes) -> object:
    session = open_session(onnx)
    (taken,) = session.get_inputs()
    session.run(None, {taken.name: np.zeros((ROWS, taken.shape[1]), np.float32)})
    return session


def _smallest() -> bytes:
    """A model that gives what it is given."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "smallest", ends[:1], ends[1:])
    content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()
    return content


if __name__ == "__main__":
    sys.stdout.write(str(main(Path(sys.argv[1]))))
