"""Weights as 8-bit integers or 16-bit floats: quantization (Designing Machine Learning Systems, chapter 7, "Quantization").

The integers are those of B. Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference*, CVPR 2018, section 2.1: value = scale × (integer - zero point). ONNX Runtime's own tools make the graph
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from features.errors import SettingError
from jobs.compress import integers, sixteen
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.graph import operators, weighted
from jobs.compress.methods import texts_of

Kind = Literal["static", "dynamic", "fp16"]
VNNI = {"avx512_vnni", "avx_vnni"}


def compress(
    candidate: Candidate,
    learnt: Learnt,
    *,
    kind: Kind = "static",
    per_channel: bool = True,
    reduce_range: Literal["auto", "true", "false"] = "auto",
    calibration: Literal["minmax", "entropy", "percentile"] = "minmax",
    rows: int = 1024,
) -> Candidate:
    """Weights of MatMul, Gemm and Conv become 8-bit integers (static, dynamic) or 16-bit floats (fp16).

    ``static``: what goes into a layer becomes integers too, by ranges that ``calibration`` finds on ``rows`` training rows, and
    is written as QuantizeLinear and DequantizeLinear (QDQ). ``dynamic``: the range is each row's own, found as it is scored.
    ``per_channel``: a scale for each column of weights, not one for all. ``reduce_range``: weights of 7 bits, as pairs of 8-bit
    products overflow the 16-bit sums of x86 without VNNI; ``auto`` looks at this CPU. The step says which CPU it is for.

    Raises `RefusedError` for a graph without such layers in float32, and for fp16 where the CPU only casts it back.
    """
    if rows < 1:
        raise SettingError(f"quantize:rows is 1 or more; got {rows}; give more")
    _check(candidate.onnx, kind)
    if kind == "fp16":
        onnx = sixteen.convert(candidate.onnx)
        return _with_step(candidate, onnx, {"kind": kind, "cpu": f"{platform.machine()} with float16 kernels"})
    cpu, saturates = cpu_of()
    reduced = saturates if reduce_range == "auto" else reduce_range == "true"
    shared = texts_of(kind=kind, per_channel=per_channel, reduce_range=reduced)
    if kind == "dynamic":
        onnx = integers.dynamic(candidate.onnx, per_channel=per_channel, reduce_range=reduced)
        return _with_step(candidate, onnx, {**shared, "cpu": cpu})
    onnx = integers.static(
        candidate.onnx, learnt.x, per_channel=per_channel, reduce_range=reduced, calibration=calibration, rows=rows
    )
    return _with_step(candidate, onnx, {**shared, "calibration": calibration, "rows": str(rows), "cpu": cpu})


def cpu_of(machine: str | None = None, info: Path = Path("/proc/cpuinfo")) -> tuple[str, bool]:
    """Which CPU a quantized graph is made for, in words, and whether sums of its 8-bit products saturate.

    They do on x86 without VNNI, and are taken to where the system does not say what an x86 has.
    """
    name = machine or platform.machine()
    if name.lower() not in {"x86_64", "amd64", "i686"}:
        return name, False
    lines = info.read_text().splitlines() if info.is_file() else []
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set[str]())
    return (f"{name} with VNNI", False) if flags & VNNI else (f"{name} without VNNI", True)


def _check(onnx: bytes, kind: Kind) -> None:
    if not weighted(onnx):
        found = ", ".join(operators(onnx)) or "nothing"
        advice = (
            "trees have no such weights: prune_trees or distill makes them smaller"
            if "TreeEnsemble" in found
            else "try another method"
        )
        raise RefusedError(
            f"quantize:kind={kind} changes float32 weights of MatMul, Gemm and Conv; got a graph of {found}, "
            f"which has none; {advice}"
        )


def _with_step(candidate: Candidate, onnx: bytes, parameters: Mapping[str, str]) -> Candidate:
    return Candidate(onnx, (*candidate.steps, ("quantize", parameters)))
