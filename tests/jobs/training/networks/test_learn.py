"""Networks learn, as their layers say, from the rows that they are given."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from features.errors import SettingError
from jobs.training.fitted import onnx_scores
from jobs.training.networks.graph import read_graph, with_constants
from jobs.training.networks.layers import Conv1d, Dense, Flatten, Relu, scaling_of, to_onnx
from jobs.training.networks.learn import Learned, Recipe, learn

pytestmark = pytest.mark.slow


def rows(count: int = 800) -> tuple[Any, Any]:
    """The label depends on the product of two inputs, which nothing linear finds; the third is never null, the others are."""
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 3)).astype(np.float32)
    labels = (x[:, 0] * x[:, 1] > 0).astype(np.float64)
    x[:, 0][random.random(count) < 0.02] = np.nan
    return x, labels


def recipe(**given: Any) -> Recipe:
    """A short training."""
    return Recipe(**({"epochs": 30, "learning_rate": 0.02, "seed": 0, "batch": 64} | given))


def start(x: Any, labels: Any) -> bytes:
    """One hidden layer."""
    return to_onnx([Dense(16), Relu()], scaling_of(x), labels, "classification", seed=0)


@cache
def trained() -> Learned:
    """Its network."""
    x, labels = rows()
    return learn(start(x, labels), x, labels, "classification", recipe())


def test_a_network_learns_what_is_not_linear() -> None:
    """The held-out loss falls below that of knowing nothing, ln 2, and rows are ranked."""
    (x, labels), found = rows(), trained()
    assert found.loss < 0.35 < np.log(2)
    assert roc_auc_score(labels, onnx_scores(found.onnx, x)) > 0.95


def test_the_weights_are_those_of_the_best_round() -> None:
    """From a trained network, steps so large that all is lost leave it as it is: no round is better."""
    x, labels = rows()
    after = learn(trained().onnx, x, labels, "classification", recipe(epochs=2, learning_rate=1.0))
    assert after.epochs == 0
    assert after.loss == pytest.approx(trained().loss, rel=1e-6)
    assert onnx_scores(after.onnx, x).tolist() == onnx_scores(trained().onnx, x).tolist()


def test_zeros_stay_where_they_are_to_stay() -> None:
    """Every second weight, not biases, which may start at 0."""
    x, labels = rows()
    content = start(x, labels)
    weights = {name: values.copy() for name, values in read_graph(content).constants.items() if name.startswith("weights")}
    for values in weights.values():
        values.reshape(-1)[::2] = 0
    content = with_constants(content, weights)
    found = read_graph(learn(content, x, labels, "classification", recipe(epochs=2, zeros_stay=True)).onnx).constants
    before = read_graph(content).constants
    for name, values in before.items():
        if values.ndim == 2 and name.startswith("weights"):
            assert (found[name][values == 0] == 0).all()
            assert (found[name][values != 0] != values[values != 0]).all()
    assert any((found[name] != 0).any() for name in before if name.startswith("bias"))


def test_a_null_where_training_had_none_is_the_median() -> None:
    """Its mark is a column that never varied, which no weight was learned for."""
    x, labels = rows()
    found = learn(start(x, labels), x, labels, "classification", recipe(epochs=3)).onnx
    holed, filled = x[:50].copy(), x[:50].copy()
    holed[:, 2], filled[:, 2] = np.nan, np.median(x[:, 2])
    assert np.abs(onnx_scores(found, holed) - onnx_scores(found, filled)).max() < 1e-6


def test_scaling_is_that_of_scikit_learns_steps() -> None:
    """Median, mark, mean 0 and deviation 1, as the other trainers have it."""
    from sklearn.pipeline import make_pipeline

    from jobs.training.scikit import before

    x, _ = rows()
    scaling = scaling_of(x)
    missing = np.isnan(x)
    whole = np.hstack([np.where(missing, scaling.medians, x), missing])
    assert np.allclose((whole - scaling.means) * scaling.factors, make_pipeline(*before(True)).fit_transform(x), atol=1e-5)


def test_a_convolution_takes_lists_as_channels_and_the_rest_joins() -> None:
    """Two lists of three, their marks, and an input beside them: by hand from the weights."""
    x = np.random.default_rng(0).normal(size=(9, 7)).astype(np.float32)
    x[0, 0] = x[1, 6] = np.nan
    sequences = ((0, 1, 2), (4, 5, 6))
    scaling = scaling_of(x)
    content = to_onnx([Conv1d(2, 2), Relu(), Flatten()], scaling, x[:, 3] > 0, "classification", seed=1, sequences=sequences)
    constants = read_graph(content).constants
    missing = np.isnan(x)
    whole = (np.hstack([np.where(missing, scaling.medians, x), missing]) - scaling.means) * scaling.factors
    channels = np.stack([whole[:, list(one)] for one in (*sequences, (7, 8, 9), (11, 12, 13))], axis=1)
    padded = np.pad(channels, ((0, 0), (0, 0), (0, 1)))
    weights = [name for name in constants if name.startswith("weights")]
    conv, dense = (constants[name] for name in weights)
    found = np.stack([np.einsum("ncs,fcs->nf", padded[:, :, at : at + 2], conv) for at in range(3)], axis=2)
    joined = np.hstack([np.maximum(found, 0).reshape(9, -1), whole[:, [3, 10]]])
    logits = joined @ dense + constants[weights[1].replace("weights", "bias")]
    assert np.abs(1 / (1 + np.exp(-logits[:, 0])) - onnx_scores(content, x)).max() < 1e-5


def test_a_regression_is_in_the_labels_unit() -> None:
    """Large labels are learned as small ones are."""
    x, _ = rows()
    labels = 1e6 + 5000 * np.nan_to_num(x[:, 0]).astype(np.float64)
    before = to_onnx([Dense(16), Relu()], scaling_of(x), labels, "regression", seed=0)
    found = learn(before, x, labels, "regression", recipe())
    assert np.abs(onnx_scores(found.onnx, x) - labels).mean() < 500
    assert found.loss < 0.05


def test_one_row_is_no_training_set() -> None:
    """One is held out."""
    x, labels = rows(1)
    with pytest.raises(SettingError, match="two rows or more; got 1"):
        learn(start(x, labels), x, labels, "classification", recipe())
