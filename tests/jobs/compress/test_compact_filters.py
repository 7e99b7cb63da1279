"""Compact filters: a convolution as a depthwise and a pointwise one, from its trained weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from sklearn.metrics import roc_auc_score

from features.errors import SettingError
from jobs.compress.candidate import Candidate, RefusedError
from jobs.compress.methods.compact_filters import compress
from jobs.compress.network import Network, multiply_adds
from tests.jobs.compress.networks import exported, learnt, scores, trained_cnn, trained_mlp
from tests.support.networks import graph_of

pytestmark = pytest.mark.slow


def of_rank(rank: int) -> Candidate:
    """The exported network with kernels that are, for each channel, sums of ``rank`` shapes."""
    network = Network(exported().onnx)
    random = np.random.default_rng(0)
    for name in ("c1", "c2"):
        outputs, inputs, size = network.constants[name].shape
        shapes, weights = random.normal(size=(inputs, rank, size)), random.normal(size=(outputs, inputs, rank))
        network.constants[name] = np.einsum("oir,irk->oik", weights, shapes).astype(np.float32) / 4
    return Candidate(network.content)


@pytest.mark.parametrize("rank", [1, 2])
def test_kernels_of_that_rank_are_found_again(rank: int) -> None:
    """Scores stay, with their padding and bias; there are fewer multiply-adds where it pays, and the others stay as they are."""
    before, rows = of_rank(rank), learnt(200)
    x = np.nan_to_num(rows.x)
    after = compress(before, rows, filters=rank, epochs=0)
    assert np.abs(scores(after, x) - scores(before, x)).max() < 1e-5
    assert multiply_adds(after.onnx) < multiply_adds(before.onnx)
    assert after.steps[0][1]["convolutions"] == ("x1 x3" if rank == 1 else "x1")


def test_what_is_left_out_is_the_least_that_can_be() -> None:
    """Of each channel's kernels the error is that of their smaller singular values (Eckart & Young)."""
    before = trained_cnn()
    after = compress(before, learnt(), filters=2, epochs=0)
    old, new = Network(before.onnx), Network(after.onnx)
    for layer in (layer for layer in old.layers() if layer.kind == "conv"):
        weights = old.constants[layer.weights]
        first, second = (new.constants[f"{layer.node}_{name}"] for name in ("depthwise", "pointwise"))
        inputs = weights.shape[1]
        whole = np.einsum("oir,irk->oik", second.reshape(-1, inputs, 2), first.reshape(inputs, 2, -1))
        lost = ((whole - weights) ** 2).sum()
        least = sum((np.linalg.svd(weights[:, place], compute_uv=False)[2:] ** 2).sum() for place in range(inputs))
        assert lost == pytest.approx(least, rel=1e-3)


def test_two_dimensional_kernels_are_split_too() -> None:
    """k x k, with strides and dilations."""
    random = np.random.default_rng(0)
    shapes, weights = random.normal(size=(3, 1, 9)), random.normal(size=(8, 3, 1))
    kernel = np.einsum("oir,irk->oik", weights, shapes).reshape(8, 3, 3, 3).astype(np.float32)
    constants = {"shape": np.array([-1, 3, 8, 8]), "k": kernel, "b": random.normal(size=8).astype(np.float32)}
    nodes = [
        helper.make_node("Reshape", ["inputs", "shape"], ["x0"]),
        helper.make_node("Conv", ["x0", "k", "b"], ["x1"], strides=[2, 1], pads=[1, 2, 1, 2], dilations=[1, 2]),
        helper.make_node("Flatten", ["x1"], ["x2"]),
        helper.make_node("ReduceMean", ["x2"], ["score"], axes=[1], keepdims=1),
    ]
    before, x = Candidate(graph_of(nodes, constants, 192)), random.normal(size=(20, 192)).astype(np.float32)
    after = compress(before, learnt(10), epochs=0)
    assert np.abs(scores(after, x) - scores(before, x)).max() < 1e-5
    assert multiply_adds(before.onnx) == 4 * 8 * 8 * 3 * 9
    assert multiply_adds(after.onnx) == 4 * 8 * (3 * 9 + 8 * 3)


def test_fine_tuning_brings_back_what_one_filter_a_channel_cost() -> None:
    """The multiply-adds are fewer, and the rows are ranked nearly as well."""
    rows, before = learnt(), trained_cnn()
    plain, after = compress(before, rows, epochs=0), compress(before, rows, epochs=10, learning_rate=0.005)
    aucs = [roc_auc_score(rows.labels, scores(one, rows.x)) for one in (before, plain, after)]
    assert aucs[1] < aucs[2]
    assert aucs[2] > aucs[0] - 0.03
    assert after.steps[0][1]["tuned_rows"] == "1500"


@pytest.mark.parametrize(
    ("made", "filters", "message"),
    [
        (trained_mlp, 1, "compact_filters changes the weights of Conv; got a graph of"),
        (trained_cnn, 5, r"filters < out k / \(out \+ k\); got 16 x 4 x 5, 16 x 16 x 5 and filters=5; prune them"),
    ],
)
def test_what_does_not_become_smaller_is_refused(made: Any, filters: int, message: str) -> None:
    """A network without convolutions, and filters that would be no fewer."""
    with pytest.raises(RefusedError, match=message):
        compress(made(), learnt(), filters=filters)


def test_filters_are_one_or_more() -> None:
    """None would be nothing."""
    with pytest.raises(SettingError, match="filters is 1 or more; got 0"):
        compress(trained_cnn(), learnt(), filters=0)
