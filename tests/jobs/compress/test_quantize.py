"""Quantization: integers are in the graph, scores stay close, and what cannot gain is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from features.errors import SettingError
from jobs.compress import sixteen
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.methods.quantize import Kind, compress, cpu_of
from jobs.training.fitted import onnx_scores
from tests.support.models import stumps
from tests.support.networks import convolution, inputs, mlp

pytestmark = pytest.mark.slow

NETWORKS = {"gemm": mlp(), "matmul": mlp(gemm=False), "convolution": convolution(), "opset 18": mlp(opset=18)}


def learnt(onnx_bytes: bytes, rows: int = 600) -> Learnt:
    """Rows of training for a network."""
    width = onnx.load_model_from_string(onnx_bytes).graph.input[0].type.tensor_type.shape.dim[1].dim_value
    return Learnt(inputs(rows, width), np.zeros(rows), "classification")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", ["static", "dynamic"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_are_integers_and_scores_stay_close(network: str, kind: Kind, per_channel: bool) -> None:
    """No matrix of floats is left, the file is smaller, and a score moves by little."""
    original, rows = NETWORKS[network], learnt(NETWORKS[network])
    made = compress(Candidate(original), rows, kind=kind, per_channel=per_channel)
    model = onnx.load_model_from_string(made.onnx)
    types = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) > 1}
    assert TensorProto.INT8 in types
    assert TensorProto.FLOAT not in types
    test = inputs(400, rows.x.shape[1], seed=9)
    before, after = onnx_scores(original, test), onnx_scores(made.onnx, test)
    assert np.abs(before - after).max() < 0.04
    assert len(np.unique(after)) > 0.9 * len(np.unique(before))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_score_does_not_depend_on_the_batch(network: str, kind: Kind) -> None:
    """A row alone has the score that it has beside a row of large values, which would widen the range of a whole batch."""
    rows = learnt(NETWORKS[network])
    made = compress(Candidate(NETWORKS[network]), rows, kind=kind).onnx
    batch = inputs(40, rows.x.shape[1], seed=5)
    batch[7] *= 100
    together = onnx_scores(made, batch)
    alone = np.array([onnx_scores(made, batch[place : place + 1])[0] for place in range(len(batch))])
    assert np.abs(together - alone).max() < 1e-6


@pytest.mark.parametrize("network", NETWORKS)
def test_the_runtimes_optimizations_change_nothing(network: str) -> None:
    """ONNX Runtime can fuse a row's scale into a product that has the first row's for all: not in this graph."""
    rows = learnt(NETWORKS[network])
    made = compress(Candidate(NETWORKS[network]), rows, kind="dynamic").onnx
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = ort.InferenceSession(made, options, providers=["CPUExecutionProvider"]).run(None, {"inputs": rows.x})[0][:, 0]
    assert np.abs(plain - onnx_scores(made, rows.x)).max() < 1e-5


def test_a_larger_network_is_nearly_four_times_smaller() -> None:
    """A byte for each weight of four, and what is written around them; the same bytes each time."""
    original = mlp((8, 256, 256, 1))
    made = compress(Candidate(original), learnt(original))
    assert len(original) / len(made.onnx) > 3.4
    assert compress(Candidate(original), learnt(original)) == made


def test_the_step_says_all_parameters_and_the_cpu() -> None:
    """What is not given is what was found: of this CPU, and of the rows."""
    original = mlp()
    ((name, parameters),) = compress(Candidate(original), learnt(original), rows=50).steps
    cpu, saturates = cpu_of()
    assert name == "quantize"
    assert parameters == {
        "kind": "static",
        "per_channel": "true",
        "reduce_range": str(saturates).lower(),
        "calibration": "minmax",
        "rows": "50",
        "cpu": cpu,
    }


def test_weights_have_seven_bits_where_sums_saturate() -> None:
    """Reduced to -64 to 64; without, up to 127."""
    original = mlp()
    largest = {}
    for reduced in ("true", "false"):
        made = compress(Candidate(original), learnt(original), reduce_range=reduced)
        weights = [one for one in onnx.load_model_from_string(made.onnx).graph.initializer if one.data_type == TensorProto.INT8]
        largest[reduced] = max(int(np.abs(onnx.numpy_helper.to_array(one).astype(int)).max()) for one in weights)
    assert largest == {"true": 64, "false": 127}


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "flags\t\t: fpu avx2 avx512_vnni", ("x86_64 with VNNI", False)),
        ("x86_64", "flags\t\t: fpu avx2 avx_vnni", ("x86_64 with VNNI", False)),
        ("x86_64", "flags\t\t: fpu avx2", ("x86_64 without VNNI", True)),
        ("AMD64", "", ("AMD64 without VNNI", True)),
        ("aarch64", "Features\t: asimd", ("aarch64", False)),
    ],
)
def test_x86_without_vnni_saturates(machine: str, flags: str, expected: tuple[str, bool], tmp_path: Path) -> None:
    """And so does one of which the system says nothing."""
    info = tmp_path / "cpuinfo"
    if flags:
        info.write_text(f"processor\t: 0\n{flags}\n")
    assert cpu_of(machine, info) == expected


@pytest.mark.parametrize("kind", ["static", "dynamic", "fp16"])
def test_trees_are_refused(kind: Kind) -> None:
    """They have no weights that are multiplied; the error says what they have, and what to do."""
    original = stumps([0.1, 0.2])
    with pytest.raises(
        RefusedError, match=r"graph of TreeEnsembleClassifier, which has none; trees .*: prune_trees or distill makes"
    ):
        compress(Candidate(original), Learnt(inputs(10, 2), np.zeros(10), "classification"), kind=kind)


def test_sixteen_bits_are_refused_where_the_cpu_only_casts() -> None:
    """What is looked up is the graph that runs: on x86 its layers are float32 again."""
    original = mlp()
    by_hand = sixteen.convert_float_to_float16(onnx.load_model_from_string(original), keep_io_types=True).SerializeToString()
    assert not sixteen.computes(original)
    if sixteen.computes(by_hand):
        made = compress(Candidate(original), learnt(original), kind="fp16")
        assert len(made.onnx) < 0.6 * len(original)
        return
    with pytest.raises(RefusedError, match=r"needs float16 kernels; ONNX Runtime .* it casts them to float32"):
        compress(Candidate(original), learnt(original), kind="fp16")


def test_an_old_opset_has_no_scale_by_channel() -> None:
    """DequantizeLinear has an axis from opset 13 on; with one scale for all, opset 12 will do."""
    original = mlp(opset=12)
    with pytest.raises(RefusedError, match="needs opset 13; got 12"):
        compress(Candidate(original), learnt(original))
    assert compress(Candidate(original), learnt(original), per_channel=False).onnx != original


def test_calibration_needs_rows() -> None:
    """None of training, or none wanted."""
    original = mlp()
    with pytest.raises(SettingError, match="calibration needs rows of training; got none"):
        compress(Candidate(original), Learnt(inputs(0), np.zeros(0), "classification"))
    with pytest.raises(SettingError, match="quantize:rows is 1 or more; got 0"):
        compress(Candidate(original), learnt(original), rows=0)


def test_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools work on files: in a temporary folder, which is gone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for kind in ("static", "dynamic"):
        compress(Candidate(mlp()), learnt(mlp()), kind=kind)
    assert os.listdir(tmp_path) == []
