"""A network of dense layers, a multilayer perceptron, by JAX."""

from __future__ import annotations

from features.inputs.matrix import Floats
from features.inputs.signature import Task
from jobs.training.fitted import Fitted, Labels
from jobs.training.networks import AGREEMENT, check_extra


def check() -> None:
    """Raises `SettingError` where the extra ``networks`` is not installed."""
    check_extra("trainer 'mlp'")


def fit(
    x: Floats,
    labels: Labels,
    task: Task,
    start: bytes | None = None,
    *,
    layers: int = 2,
    width: int = 128,
    epochs: int = 30,
    learning_rate: float = 0.001,
    seed: int = 0,
) -> Fitted:
    """``layers`` hidden layers of ``width`` neurons, rectified. A null is the median, and a column of its own.

    ``start`` is a network that it made, whose weights and scaling it goes on from.
    """
    check()
    from jobs.training.networks.layers import Dense, Layer, Relu, scaling_of, to_onnx
    from jobs.training.networks.learn import Recipe, learn

    hidden: list[Layer] = [layer for _ in range(layers) for layer in (Dense(width), Relu())]
    start = start or to_onnx(hidden, scaling_of(x), labels, task, seed=seed)
    learned = learn(start, x, labels, task, Recipe(epochs=epochs, learning_rate=learning_rate, seed=seed))
    return Fitted(learned.onnx, learned.predict, AGREEMENT)
