"""Networks for the tests of compression: of the trainers, of scikit-learn, and as other tools export them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from onnx import helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.neural_network import MLPClassifier

from features.inputs.session import open_session
from jobs.compress.candidate import Candidate, Learnt
from jobs.training.networks.layers import Dense, Relu, scaling_of, to_onnx
from jobs.training.trainers import cnn, mlp, random_forest
from tests.support.networks import graph_of

SEQUENCES = (tuple(range(8)), tuple(range(8, 16)))


def learnt(rows: int = 1500) -> Learnt:
    """Rows of two lists of eight values and four other inputs, some null; the label is whether a list rises at its end."""
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 20)).astype(np.float32)
    labels = (x[:, 7] - x[:, 6] + x[:, 15] + 0.5 * x[:, 17] > 0.8).astype(np.float64)
    x[random.random(x.shape) < 0.05] = np.nan
    return Learnt(x, labels, "classification")


@cache
def trained_mlp() -> Candidate:
    """Of the trainer: 20 inputs, two layers of 32 neurons."""
    rows = learnt()
    return Candidate(mlp.fit(rows.x, rows.labels, "classification", width=32, epochs=10, learning_rate=0.01).onnx)


@cache
def trained_cnn() -> Candidate:
    """Of the trainer: two convolutions of 16 filters of five values."""
    rows = learnt()
    found = cnn.fit(rows.x, rows.labels, "classification", SEQUENCES, width=16, epochs=8, learning_rate=0.01)
    return Candidate(found.onnx)


@cache
def forest() -> Candidate:
    """Nothing but trees, behind their imputer."""
    rows = learnt(300)
    return Candidate(random_forest.fit(rows.x, rows.labels, "classification", trees=3, depth=3).onnx)


@cache
def of_scikit() -> Candidate:
    """scikit-learn's perceptron as skl2onnx converts it: MatMul and Add; a label and two shares as outputs."""
    rows = learnt()
    x = np.nan_to_num(rows.x)
    model = MLPClassifier((32, 24), max_iter=40, random_state=0).fit(x, rows.labels.astype(int))
    found = convert_sklearn(
        model, name="model", initial_types=[("inputs", FloatTensorType([None, 20]))], target_opset=15, options={"zipmap": False}
    )
    return Candidate(found.SerializeToString())


@cache
def small() -> Candidate:
    """Of the trainer's layers: 20 inputs, one layer of 8 neurons, as it is before it is trained."""
    rows = learnt(300)
    return Candidate(to_onnx([Dense(8), Relu()], scaling_of(rows.x), rows.labels, "classification", seed=0))


def channels_added_up(*, flat: bool) -> Candidate:
    """Four filters over four positions, which a MatMul adds up for each filter: of three axes, or ``flat``, a filter a row."""
    random = np.random.default_rng(0)
    constants = {
        "channels": np.array([-1, 5, 4]),
        "c": random.normal(size=(4, 5, 1)).astype(np.float32),
        "each": np.array([-1, 4]),
        "w": random.normal(size=(4, 3)).astype(np.float32),
        "rows": np.array([-1, 12]),
        "v": random.normal(size=(12, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["inputs", "channels"], ["x0"]),
        helper.make_node("Conv", ["x0", "c"], ["x1"], kernel_shape=[1]),
        *([helper.make_node("Reshape", ["x1", "each"], ["x2"])] if flat else []),
        helper.make_node("MatMul", ["x2" if flat else "x1", "w"], ["x3"]),
        helper.make_node("Reshape", ["x3", "rows"], ["x4"]),
        helper.make_node("MatMul", ["x4", "v"], ["score"]),
    ]
    return Candidate(graph_of(nodes, {name: values for name, values in constants.items() if flat or name != "each"}, 20))


def exported() -> Candidate:
    """A network as PyTorch exports it: Gemm with transB, Conv and Reshape, Add after MatMul, constants as nodes."""
    random = np.random.default_rng(1)

    def weights(*shape: int) -> Any:
        return (random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    constants = {
        "channels": np.array([-1, 2, 10]),
        "c1": weights(12, 2, 3),
        "c1b": weights(12),
        "c2": weights(6, 12, 3),
        "c2b": weights(6),
        "w1": weights(30, 60),
        "b1": weights(30),
        "w2": weights(30, 16),
        "b2": weights(16),
        "w3": weights(1, 16),
        "b3": weights(1),
    }
    flat = helper.make_node("Constant", [], ["flat"], value=numpy_helper.from_array(np.array([-1, 60])))
    nodes = [
        flat,
        helper.make_node("Reshape", ["inputs", "channels"], ["x0"]),
        helper.make_node("Conv", ["x0", "c1", "c1b"], ["x1"], pads=[1, 1], kernel_shape=[3]),
        helper.make_node("Tanh", ["x1"], ["x2"]),
        helper.make_node("Conv", ["x2", "c2", "c2b"], ["x3"], pads=[1, 1], kernel_shape=[3]),
        helper.make_node("Relu", ["x3"], ["x4"]),
        helper.make_node("Reshape", ["x4", "flat"], ["x5"]),
        helper.make_node("Gemm", ["x5", "w1", "b1"], ["x6"], transB=1, alpha=0.5, beta=2.0),
        helper.make_node("Relu", ["x6"], ["x7"]),
        helper.make_node("MatMul", ["x7", "w2"], ["x8"]),
        helper.make_node("Add", ["x8", "b2"], ["x9"]),
        helper.make_node("Sigmoid", ["x9"], ["x10"]),
        helper.make_node("Gemm", ["x10", "w3", "b3"], ["x11"], transB=1),
        helper.make_node("Sigmoid", ["x11"], ["score"]),
    ]
    return Candidate(graph_of(nodes, constants, 20))


def scores(candidate: Candidate, x: Any) -> Any:
    """Its score of each row: of several columns the last."""
    return open_session(candidate.onnx).run(None, {"inputs": x})[-1][:, -1]
