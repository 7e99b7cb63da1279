"""A network of one-dimensional convolutions over the service's lists, by JAX."""

from __future__ import annotations

from features.inputs.matrix import Floats
from features.inputs.signature import Task
from jobs.training.fitted import Fitted, Labels
from jobs.training.networks import AGREEMENT, Sequences, check_extra


def check() -> None:
    """Raises `SettingError` where the extra ``networks`` is not installed."""
    check_extra("trainer 'cnn'")


def fit(
    x: Floats,
    labels: Labels,
    task: Task,
    sequences: Sequences,
    start: bytes | None = None,
    *,
    layers: int = 2,
    width: int = 32,
    kernel: int = 5,
    epochs: int = 30,
    learning_rate: float = 0.001,
    seed: int = 0,
) -> Fitted:
    """``layers`` convolutions of ``width`` filters of ``kernel`` values, rectified; then a dense layer of twice as many neurons.

    The lists of ``sequences`` are the channels, and so is for each of them whether a value is null: a list that is shorter is
    null at its beginning. All other inputs join before the dense layer. A null is the median.
    ``start`` is a network that it made, whose weights and scaling it goes on from.
    """
    check()
    from jobs.training.networks.layers import Conv1d, Dense, Flatten, Layer, Relu, scaling_of, to_onnx
    from jobs.training.networks.learn import Recipe, learn

    hidden: list[Layer] = [layer for _ in range(layers) for layer in (Conv1d(width, kernel), Relu())]
    hidden += [Flatten(), Dense(2 * width), Relu()]
    start = start or to_onnx(hidden, scaling_of(x), labels, task, seed=seed, sequences=sequences)
    learned = learn(start, x, labels, task, Recipe(epochs=epochs, learning_rate=learning_rate, seed=seed))
    return Fitted(learned.onnx, learned.predict, AGREEMENT)
