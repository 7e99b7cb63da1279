"""The layers of graphs, whoever made them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jobs.compress.candidate import Candidate
from jobs.compress.methods.quantize import compress as quantize
from jobs.compress.network import Network, multiply_adds
from tests.jobs.compress.networks import exported, learnt, of_scikit, scores, trained_cnn, trained_mlp

pytestmark = pytest.mark.slow


def test_layers_and_multiply_adds_of_an_export() -> None:
    """Positions of a Conv count, transB is seen, and the biases that layers have themselves."""
    network = Network(exported().onnx)
    assert [(layer.kind, layer.weights, layer.bias, layer.transposed, layer.positions) for layer in network.layers()] == [
        ("conv", "c1", "c1b", False, 10),
        ("conv", "c2", "c2b", False, 10),
        ("dense", "w1", "b1", True, 1),
        ("dense", "w2", None, False, 1),
        ("dense", "w3", "b3", True, 1),
    ]
    assert multiply_adds(exported().onnx) == 10 * (12 * 2 * 3 + 6 * 12 * 3) + 30 * 60 + 30 * 16 + 16


def test_layers_of_the_trainers_and_of_scikit_learn() -> None:
    """A Gemm for each layer, or a MatMul."""
    assert multiply_adds(trained_mlp().onnx) == 40 * 32 + 32 * 32 + 32
    assert multiply_adds(of_scikit().onnx) == 20 * 32 + 32 * 24 + 24
    joined = 16 * 8 + 2 * 4
    assert multiply_adds(trained_cnn().onnx) == 8 * (4 * 16 * 5 + 16 * 16 * 5) + joined * 32 + 32


@pytest.mark.parametrize("kind", ["static", "dynamic"])
@pytest.mark.parametrize("made", [trained_mlp, trained_cnn])
def test_integers_multiply_as_often_as_floats(made: Any, kind: Any) -> None:
    """What is quantized counts as it did."""
    assert multiply_adds(quantize(made(), learnt(100), kind=kind, rows=50).onnx) == multiply_adds(made().onnx)


def test_a_network_that_nothing_changed_gives_the_same_scores() -> None:
    """Constants as nodes become initializers."""
    x = np.nan_to_num(learnt(50).x)
    for one in (exported(), of_scikit(), trained_mlp(), trained_cnn()):
        assert (scores(Candidate(Network(one.onnx).content), x) == scores(one, x)).all()
