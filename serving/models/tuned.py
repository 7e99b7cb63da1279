"""How a version runs best on a machine, as `headrace tune` measured: a file beside the version, for each kind of machine.

A version never changes, and is the same everywhere; how it runs best is a fact of the CPU, its cores and the ONNX Runtime there.
So root/<name>/<version>/tuned/<key>.json is replaced whole, and used by whoever loads the version on such a machine.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import msgspec
import onnxruntime as ort

from features.errors import SettingError
from features.inputs.session import Execution, providers
from schemas.codec import UNREADABLE
from serving.models.admit import cpu_flags
from serving.models.manifest import Model

TUNED = "tuned"
"""The folder of a version's files."""


class Machine(msgspec.Struct, frozen=True):
    """What a measured setting holds for."""

    cpu: str
    """Its model, as the system calls it."""
    flags: tuple[str, ...]
    """Its vector instructions."""
    cores: int
    """Those that this process may use."""
    onnxruntime: str
    providers: tuple[str, ...]

    @property
    def key(self) -> str:
        """The name of its file: equal machines, and no others, have equal ones."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]

    @property
    def text(self) -> str:
        """``AMD EPYC, 2 cores, ONNX Runtime 1.31.0``."""
        return f"{self.cpu}, {self.cores} core{'s' * (self.cores != 1)}, ONNX Runtime {self.onnxruntime}"


class Tuned(msgspec.Struct, frozen=True):
    """What won on a machine."""

    machine: Machine
    sha256: str
    """Of the ONNX that was measured."""
    execution: Execution
    times: dict[str, float]
    """By rows of a batch, the median time of a batch in relation to that with the defaults: 0.8 is a fifth less."""
    measured_at: int
    """UTC milliseconds."""


def this_machine(info: Path = Path("/proc/cpuinfo")) -> Machine:
    """The machine that this process runs on."""
    names = [line.partition(":")[2].strip() for line in _lines(info) if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cpu = names[0] if names else platform.processor() or platform.machine()
    return Machine(cpu, cpu_flags(info), cores, ort.__version__, providers())


def path_of(name: str, version: int, machine: Machine) -> str:
    """Where in the registry a machine's file of a version is."""
    return f"{name}/{version}/{TUNED}/{machine.key}.json"


def read_tuned(model: Model, machine: Machine) -> Tuned | None:
    """What won for a version on such a machine; None where nothing was measured, or nothing won.

    Raises `SettingError` where the file is none, or is of another ONNX.
    """
    file = f"{TUNED}/{machine.key}.json"
    try:
        content = model.read(file)
    except FileNotFoundError:
        return None
    of = f"model '{model.manifest.name}' {model.manifest.version}"
    try:
        found = msgspec.json.decode(content, type=Tuned)
    except UNREADABLE as error:
        raise SettingError(f"{of}: a file of {TUNED} is what 'headrace tune' wrote; {file} gave {error}; tune it again") from None
    if found.sha256 != model.manifest.sha256:
        raise SettingError(
            f"{of}: a file of {TUNED} is of the version's ONNX; {file} is of sha256 {found.sha256[:12]}; tune it again"
        )
    return found


def _lines(info: Path) -> list[str]:
    return info.read_text().splitlines() if info.is_file() else []
