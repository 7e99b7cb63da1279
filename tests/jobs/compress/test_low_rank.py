"""Low-rank factorization: the best product of two narrow matrices, where it is smaller."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from features.errors import SettingError
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.methods.low_rank import compress, rank_of
from jobs.compress.network import Network, multiply_adds
from tests.jobs.compress.networks import exported, forest, learnt, of_scikit, scores, trained_mlp

pytestmark = pytest.mark.slow


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.05, 1))
@settings(max_examples=60, deadline=None)
def test_the_rank_is_the_least_that_keeps_the_energy(rows: int, columns: int, seed: int, energy: float) -> None:
    """The error of the best approximation of that rank is within the budget, and that of one less is not (Eckart & Young)."""
    matrix = np.random.default_rng(seed).normal(size=(rows, columns))
    rank = rank_of(matrix, energy, None)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    total = (matrix**2).sum()

    def lost(kept: int) -> float:
        return float(((matrix - (left[:, :kept] * values[:kept]) @ right[:kept]) ** 2).sum() / total)

    assert lost(rank) <= 1 - energy + 1e-9
    assert rank == 1 or lost(rank - 1) > 1 - energy - 1e-9


@pytest.mark.parametrize("made", [trained_mlp, of_scikit, exported])
def test_of_a_matrix_of_low_rank_nothing_is_lost(made: Any) -> None:
    """Weights that are a product of two narrow matrices are found again: scores stay, multiply-adds become fewer."""
    network = Network(made().onnx)
    dense = [layer for layer in network.layers() if layer.kind == "dense"]
    for layer in dense[:2]:
        left, values, right = np.linalg.svd(network.constants[layer.weights], full_matrices=False)
        network.constants[layer.weights] = ((left[:, :3] * values[:3]) @ right[:3]).astype(np.float32)
    before, rows = Candidate(network.content), learnt(300)
    x = np.nan_to_num(rows.x)
    after = compress(before, rows, energy=0.9999999, epochs=0)
    assert np.abs(scores(after, x) - scores(before, x)).max() < 1e-5
    assert multiply_adds(after.onnx) < multiply_adds(before.onnx)
    ((name, step),) = after.steps
    assert name == "low_rank"
    assert step["ranks"] == " ".join(f"{layer.node}=3" for layer in dense[:2])
    assert step["tuned_rows"] == "0"


def test_what_is_a_product_already_can_be_one_again() -> None:
    """Each matrix has a name of its own, and the scores are those of the products."""
    rows = learnt(50)
    once = compress(trained_mlp(), rows, size=0.6, epochs=0)
    twice, network = compress(once, rows, energy=0.4, epochs=0), Network(once.onnx)
    assert multiply_adds(twice.onnx) < multiply_adds(once.onnx)
    expected = {layer.node: network.matrix(layer) for layer in network.layers()}
    found = Network(twice.onnx)
    for pair in twice.steps[1][1]["ranks"].split():
        node, rank = pair.split("=")
        first, second = found.node(found.node(node).input[0]).input[1], found.node(node).input[1]
        left, values, right = np.linalg.svd(expected[node], full_matrices=False)
        best = (left[:, : int(rank)] * values[: int(rank)]) @ right[: int(rank)]
        assert np.allclose(found.constants[first] @ found.constants[second], best, atol=1e-5)


def test_a_size_is_held() -> None:
    """Each matrix that is factored has at most that share of its weights."""
    before = trained_mlp()
    after = compress(before, learnt(), size=0.5, epochs=0)
    sizes = {name: values.size for name, values in Network(after.onnx).constants.items()}
    for layer in Network(before.onnx).layers()[:2]:
        two = sizes[f"{layer.node}_low_rank_a"] + sizes[f"{layer.node}_low_rank_b"]
        assert two <= 0.5 * Network(before.onnx).constants[layer.weights].size


def test_fine_tuning_brings_back_what_the_rank_cost() -> None:
    """At a rank that costs something, the tuned network is nearer to the original's quality than the untuned."""
    before, rows = trained_mlp(), learnt()
    aucs = [
        roc_auc_score(rows.labels, scores(one, rows.x))
        for one in (
            before,
            compress(before, rows, size=0.15, epochs=0),
            compress(before, rows, size=0.15, epochs=10, learning_rate=0.005),
        )
    ]
    assert aucs[1] < aucs[2]
    assert aucs[2] > aucs[0] - 0.03


def test_where_no_rank_pays_nothing_is_done() -> None:
    """The message has the ranks that there would be."""
    with pytest.raises(
        RefusedError, match=re.escape("low_rank pays for a matrix [m, n] below rank mn / (m + n); got 40 x 32 at")
    ):
        compress(trained_mlp(), learnt(), energy=1, epochs=0)


def test_trees_are_refused_with_why() -> None:
    """They have no matrices."""
    with pytest.raises(
        RefusedError, match=r"changes the weights of Gemm or MatMul; got a graph of .*TreeEnsemble.* trees have no"
    ):
        compress(forest(), learnt())


def test_without_labels_nothing_is_tuned_and_the_step_says_so() -> None:
    """The factors are the SVD's."""
    rows = learnt(200)
    unlabelled = Learnt(rows.x, np.full(200, np.nan), rows.task)
    after = compress(trained_mlp(), unlabelled, size=0.5)
    assert after.onnx == compress(trained_mlp(), rows, size=0.5, epochs=0).onnx
    assert after.steps[0][1]["tuned_rows"] == "0"


@pytest.mark.parametrize("wrong", [{"energy": 0.0}, {"energy": 1.5}, {"size": 1.0}, {"epochs": -1}, {"learning_rate": 0.0}])
def test_parameters_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    """One line."""
    with pytest.raises(SettingError, match="; got "):
        compress(trained_mlp(), learnt(200), **({"size": 0.5} | wrong))
