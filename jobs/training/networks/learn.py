"""Training: the trainable constants of a graph, by Adam on minibatches, until a held-out slice no longer gains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import optax

from features.errors import HeadraceError, SettingError
from features.inputs.matrix import Floats
from features.inputs.session import open_session
from features.inputs.signature import Task
from jobs.training.fitted import Labels, Scores
from jobs.training.networks import AGREEMENT
from jobs.training.networks.evaluate import Evaluation, evaluation
from jobs.training.networks.graph import Array, Graph, read_graph, trainable, with_constants

CHECKED = 1000
"""Rows on which the two are compared before anything is trained."""
CHUNK = 65_536
"""Rows whose activations are in memory at once, outside training."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a network is trained."""

    epochs: int
    """How often all rows are seen, at most."""
    learning_rate: float
    """Adam's first step size; it falls to 0 along half a cosine (Loshchilov & Hutter 2017, equation 5, without restarts)."""
    seed: int
    batch: int = 256
    """Rows of a step."""
    held_out: float = 0.1
    """The share of the rows that are not trained on: after each epoch they say how good it is."""
    patience: int = 5
    """Training ends after so many epochs without a new best."""
    zeros_stay: bool = False
    """Whether weights that are 0 stay so: those that were pruned."""


class Learned(msgspec.Struct, frozen=True):
    """A trained network."""

    onnx: bytes
    predict: Callable[[Floats], Scores]
    """JAX's own scores: [n, inputs] → [n]."""
    epochs: int
    """After how many epochs it was best; 0: as it was before."""
    loss: float
    """Of the held-out rows: log loss, or half the squared error in variances of the labels."""


def learn(content: bytes, x: Floats, labels: Labels, task: Task, recipe: Recipe) -> Learned:
    """The network of ``content`` with what its weights and biases become on ``x``, [n, inputs], and ``labels``, [n].

    Adam (Kingma & Ba 2015, algorithm 1). The weights kept are those of the epoch, of all and of none, with the least loss on the
    held-out rows; equal arguments give equal bytes. Raises `SettingError` for an operator that JAX is not told how to compute,
    and `HeadraceError` where its scores are not ONNX Runtime's before training.
    """
    graph = read_graph(content)
    compute = evaluation(graph, graph.score)
    check_agreement(content, graph, compute, x[:CHECKED])
    weights = {name: np.asarray(graph.constants[name], np.float32) for name in trainable(graph)}
    order = np.random.default_rng(recipe.seed).permutation(len(x))
    kept = max(1, round(len(x) * recipe.held_out))
    if len(x) - kept < 1:
        raise SettingError(f"a network learns from two rows or more; got {len(x)}; take more days")
    held, rows = order[:kept], order[kept:]
    loss = _loss(graph, task, float(labels.std()) or 1.0)
    best, epochs, least = _descend(weights, loss, (x[rows], labels[rows]), (x[held], labels[held]), recipe)
    found = {name: np.asarray(values) for name, values in best.items()}
    return Learned(with_constants(content, found), _predict(compute, best, graph.place), epochs, least)


def check_agreement(content: bytes, graph: Graph, compute: Evaluation, x: Floats) -> None:
    """Raises `HeadraceError` where JAX's scores of ``x`` are not ONNX Runtime's within `AGREEMENT`, above 1 in relation."""
    (expected,) = open_session(content).run([graph.score], {graph.input: x})
    apart = float(np.abs(np.asarray(jax.jit(compute)({}, x)).reshape(expected.shape) - expected).max(initial=0))
    if not apart <= AGREEMENT * max(1.0, float(np.abs(expected).max(initial=0))):
        raise HeadraceError(
            f"a network's scores by JAX and by ONNX Runtime are equal within {AGREEMENT:g}; got {apart:g} apart; leave "
            "fine-tuning out with epochs=0"
        )


def _loss(graph: Graph, task: Task, deviation: float) -> Callable[[Mapping[str, Any], Any, Any], Any]:
    """The mean loss of rows. Of a score that is a sigmoid it is taken from the logit: it stays exact near 0 and 1."""
    if task == "regression":
        compute = evaluation(graph, graph.score)
        return lambda weights, x, y: (((compute(weights, x).reshape(len(x), -1)[:, graph.place] - y) / deviation) ** 2).mean() / 2
    last = graph.producers[graph.score]
    if last.op == "Sigmoid":
        logit = evaluation(graph, last.inputs[0])
        return lambda weights, x, y: optax.sigmoid_binary_cross_entropy(
            logit(weights, x).reshape(len(x), -1)[:, graph.place], y
        ).mean()
    compute = evaluation(graph, graph.score)

    def of_shares(weights: Mapping[str, Any], x: Any, y: Any) -> Any:
        share = jnp.clip(compute(weights, x).reshape(len(x), -1)[:, graph.place], 1e-7, 1 - 1e-7)
        return -(y * jnp.log(share) + (1 - y) * jnp.log1p(-share)).mean()

    return of_shares


def _descend(
    weights: dict[str, Array], loss: Callable[..., Any], training: tuple[Array, Array], held: tuple[Array, Array], recipe: Recipe
) -> tuple[dict[str, Any], int, float]:
    """The best weights, after how many epochs they were it, and their loss on the held-out rows."""
    x, y = training[0], training[1].astype(np.float32)
    batch = min(recipe.batch, len(x))
    steps = len(x) // batch
    optimizer = optax.adam(optax.cosine_decay_schedule(recipe.learning_rate, max(1, recipe.epochs * steps)))
    free = {name: (values != 0) | (values.ndim < 2) | (not recipe.zeros_stay) for name, values in weights.items()}

    def step(state: Any, rows: Any) -> Any:
        now, moments = state
        slope = jax.grad(loss)(now, *rows)
        slope = jax.tree.map(jnp.multiply, slope, free)
        change, moments = optimizer.update(slope, moments, now)
        return (optax.apply_updates(now, change), moments), None

    epoch = jax.jit(lambda state, x, y: jax.lax.scan(step, state, (x, y))[0])
    measure = jax.jit(loss)
    random = np.random.default_rng([recipe.seed, 1])
    state: Any = weights, jax.jit(optimizer.init)(weights)
    held_y = held[1].astype(np.float32)
    best: dict[str, Any] = weights
    reached, least = 0, float(measure(weights, held[0], held_y))
    for number in range(1, recipe.epochs + 1):
        chosen = random.permutation(len(x))[: steps * batch].reshape(steps, batch)
        state = epoch(state, x[chosen], y[chosen])
        now = float(measure(state[0], held[0], held_y))
        if now < least:
            best, reached, least = state[0], number, now
        elif number - reached >= recipe.patience:
            break
    return best, reached, least


def _predict(compute: Evaluation, weights: Mapping[str, Any], place: int) -> Callable[[Floats], Scores]:
    run = jax.jit(lambda x: compute(weights, x).reshape(len(x), -1)[:, place])

    def predict(x: Floats) -> Scores:
        parts = [np.asarray(run(x[first : first + CHUNK])) for first in range(0, len(x), CHUNK)]
        found: Scores = np.concatenate([np.empty(0, np.float32), *parts])
        return found

    return predict
