"""Pruning of networks: what leaves was worth least, the rest computes what it did, and shapes fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, load_model_from_string
from sklearn.metrics import roc_auc_score

from features.errors import SettingError
from jobs.compress.candidate import Candidate, RefusedError
from jobs.compress.methods.compact_filters import compress as compact_filters
from jobs.compress.methods.low_rank import compress as low_rank
from jobs.compress.methods.prune import compress
from jobs.compress.methods.quantize import compress as quantize
from jobs.compress.network import Network, multiply_adds
from jobs.compress.removal import keep, removable, worth_by_effect, worth_by_norm
from jobs.training.networks.sparse import load
from tests.jobs.compress.networks import (
    channels_added_up,
    exported,
    forest,
    learnt,
    of_scikit,
    scores,
    small,
    trained_cnn,
    trained_mlp,
)

pytestmark = pytest.mark.slow


def compacted() -> Candidate:
    """The CNN with depthwise convolutions of two filters a channel."""
    return compact_filters(trained_cnn(), learnt(), filters=2, epochs=0)


MADE = [trained_mlp, trained_cnn, compacted, of_scikit, exported]


@pytest.mark.parametrize("made", MADE)
def test_neurons_without_weights_leave_and_no_score_changes(made: Any) -> None:
    """What goes out of some neurons is set to 0: they are worth nothing, and without them the score is the same."""
    network, random = Network(made().onnx), np.random.default_rng(0)
    x = np.nan_to_num(learnt(200).x)
    silent = {}
    for neurons in removable(network):
        last = neurons.slices[-1]
        some = np.sort(random.permutation(neurons.count)[: neurons.count // 2])
        places = (last.offset + some[:, None] * last.block + np.arange(last.block)).reshape(-1)
        values = np.moveaxis(network.constants[last.constant].copy(), last.axis, 0)
        values[places] = 0
        network.constants[last.constant] = np.moveaxis(values, 0, last.axis)
        silent[neurons.layer.node] = some
    before = Candidate(network.content)
    for name, some in silent.items():
        neurons = next(one for one in removable(network) if one.layer.node == name)
        assert worth_by_effect(network, neurons, x)[some].max() == 0
        keep(network, neurons, np.setdiff1d(np.arange(neurons.count), some))
    after = Candidate(network.content)
    assert np.abs(scores(after, x) - scores(before, x)).max() < 1e-6
    assert multiply_adds(after.onnx) < 0.65 * multiply_adds(before.onnx)


def test_every_layer_but_the_last_can_lose_neurons() -> None:
    """Through a bias, an activation, a reshape that states its columns, a depthwise convolution, and a concatenation."""
    assert [len(removable(Network(made().onnx))) for made in MADE] == [2, 3, 3, 2, 4]


def test_the_norm_is_the_sum_of_magnitudes() -> None:
    """Of a filter, and of a row of Gemm's transposed weights."""
    network = Network(exported().onnx)
    found = {one.layer.weights: worth_by_norm(network, one) for one in removable(network)}
    assert np.allclose(found["c1"], np.abs(network.constants["c1"]).sum(axis=(1, 2)))
    assert np.allclose(found["w1"], np.abs(network.constants["w1"]).sum(axis=1))
    assert np.allclose(found["w2"], np.abs(network.constants["w2"]).sum(axis=0))


@pytest.mark.parametrize(
    ("made", "by", "steps"), [(trained_mlp, "norm", 2), (trained_cnn, "effect", 1), (of_scikit, "effect", 1)]
)
def test_half_of_the_neurons_leave(made: Any, by: Any, steps: int) -> None:
    """In steps, with fine-tuning between; what is left ranks the rows nearly as well."""
    rows = learnt()
    rows = type(rows)(np.nan_to_num(rows.x), rows.labels, rows.task)
    after = compress(made(), rows, share=0.5, by=by, steps=steps, epochs=4, learning_rate=0.005)
    before = [one.count for one in removable(Network(made().onnx))]
    assert [one.count for one in removable(Network(after.onnx))] == [count // 2 for count in before]
    assert roc_auc_score(rows.labels, scores(after, rows.x)) > roc_auc_score(rows.labels, scores(made(), rows.x)) - 0.03
    ((name, step),) = after.steps
    assert (name, step["share"], step["by"], step["tuned_rows"]) == ("prune", "0.5", by, "1500")
    assert step["multiply_adds"] == f"{multiply_adds(made().onnx)} to {multiply_adds(after.onnx)}"


def test_the_smallest_weights_become_zero_and_stay_so_while_others_are_tuned() -> None:
    """The architecture stays; its weights are stored sparsely, which changes no bit of a score."""
    rows, before = learnt(), trained_mlp()
    after = compress(before, rows, kind="unstructured", share=0.8, steps=2, epochs=4, learning_rate=0.005)
    old, new = Network(before.onnx), Network(after.onnx)
    for layer in new.layers():
        zero = new.constants[layer.weights] == 0
        assert zero.mean() == pytest.approx(0.8, abs=0.02)
        assert new.constants[layer.weights].shape == old.constants[layer.weights].shape
        assert (new.constants[layer.weights][~zero] != old.constants[layer.weights][~zero]).any()
    assert multiply_adds(after.onnx) == multiply_adds(before.onnx)
    step = after.steps[0][1]
    assert float(step["zeros"]) == pytest.approx(0.8, abs=0.01)
    plain = load(after.onnx).SerializeToString()
    assert len(after.onnx) < 0.5 * int(step["dense_bytes"])
    assert int(step["dense_bytes"]) == pytest.approx(len(plain), rel=0.01)
    assert int(step["deflated_bytes"]) < 0.4 * int(step["dense_bytes"])
    assert (scores(after, rows.x) == scores(Candidate(plain), rows.x)).all()
    assert roc_auc_score(rows.labels, scores(after, rows.x)) > roc_auc_score(rows.labels, scores(before, rows.x)) - 0.03


def test_what_was_made_of_a_sparse_file_is_what_is_made_of_a_plain_one() -> None:
    """Each method reads its weights as if they were stored plainly."""
    rows = learnt(300)
    made = compress(trained_mlp(), rows, kind="unstructured", share=0.8, steps=1, epochs=0)
    assert load_model_from_string(made.onnx).graph.sparse_initializer
    plain = Candidate(load(made.onnx).SerializeToString(), made.steps)
    for method, given in ((compress, {}), (low_rank, {"energy": 0.5}), (quantize, {}), (quantize, {"kind": "dynamic"})):
        assert (scores(method(made, rows, **given), rows.x) == scores(method(plain, rows, **given), rows.x)).all(), given


def test_equal_arguments_give_equal_bytes() -> None:
    """The seed is the only chance."""
    first, second = (compress(small(), learnt(300), steps=1, epochs=1, seed=3) for _ in range(2))
    assert first == second


def test_what_cannot_be_pruned_is_refused() -> None:
    """Trees, and shares that are none."""
    with pytest.raises(
        RefusedError, match=r"prune changes the weights of Gemm or MatMul or Conv; got .* trees have no such weights"
    ):
        compress(forest(), learnt())
    with pytest.raises(SettingError, match="share is between 0 and 1, and steps 1 or more; got 1 and 3"):
        compress(trained_mlp(), learnt(), share=1.0)


@pytest.mark.parametrize("wrong", [{"share": 0.001}, {"share": 0.001, "kind": "unstructured"}])
def test_a_share_of_less_than_one_neuron_or_weight_is_refused(wrong: dict[str, Any]) -> None:
    """Fine-tuning alone is no pruning."""
    with pytest.raises(RefusedError, match=r"got share=0\.001, .*; give more"):
        compress(small(), learnt(50), epochs=0, steps=1, **wrong)


@pytest.mark.parametrize("flat", [False, True])
def test_filters_that_are_not_what_is_added_up_stay(flat: bool) -> None:
    """A MatMul over a convolution's positions, as many as its filters: each of its weights is of a position, of no filter."""
    assert removable(Network(channels_added_up(flat=flat).onnx)) == ()


def test_a_file_of_before_version_4_has_constants_as_inputs() -> None:
    """It is pruned as others are."""
    model = load_model_from_string(small().onnx)
    model.ir_version = 3
    for one in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)))
    after = compress(Candidate(model.SerializeToString()), learnt(50), epochs=0)
    assert after.onnx != small().onnx
    x = learnt(20).x
    assert (scores(after, x) == scores(compress(small(), learnt(50), epochs=0), x)).all()
