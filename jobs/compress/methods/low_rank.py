"""A matrix of weights as the product of two narrow ones: low-rank factorization.

The best approximation of a rank is what the largest singular values give: C. Eckart, G. Young, *The approximation of one matrix
by another of lower rank*, Psychometrika 1936. That weights of networks have little rank: M. Denil et al., *Predicting Parameters
in Deep Learning*, NIPS 2013. In a trained network's dense layers: T. N. Sainath et al., *Low-rank Matrix Factorization for Deep
Neural Network Training with High-dimensional Output Targets*, ICASSP 2013, section 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from features.errors import SettingError
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.graph import attributes
from jobs.compress.methods import texts_of
from jobs.compress.network import Layer, Network, network_of
from jobs.compress.tuning import tuned


def compress(
    candidate: Candidate,
    learnt: Learnt,
    *,
    energy: float = 0.9,
    size: float | None = None,
    epochs: int = 10,
    learning_rate: float = 0.0005,
    seed: int = 0,
) -> Candidate:
    """Each matrix of weights of Gemm and MatMul becomes the product of two, by its largest singular values.

    The rank is the least that keeps the share ``energy`` of the sum of the squared singular values, or with ``size`` the largest
    whose two matrices have at most that share of the weights. A matrix [m, n] of which that is not below mn / (m + n) stays as it
    is: two would not be smaller. Then ``epochs`` of fine-tuning, 0 for none, on the rows with a label.

    Raises `RefusedError` where no matrix becomes smaller.
    """
    if not 0 < energy <= 1 or (size is not None and not 0 < size < 1):
        raise SettingError(f"low_rank:energy is above 0, up to 1, and size between 0 and 1; got {energy:g} and {size}; change it")
    network = network_of(candidate.onnx, "low_rank", ("dense",))
    found, ranks = [], {}
    for layer in network.layers():
        if layer.kind != "dense":
            continue
        matrix = network.matrix(layer)
        rank = rank_of(matrix, energy, size)
        found.append(f"{matrix.shape[0]} x {matrix.shape[1]} at rank {rank}")
        if 0 < rank < matrix.size / sum(matrix.shape):
            ranks[layer.node] = rank
            _factor(network, layer, rank)
    if not ranks:
        advice = "keep less energy, or prune" if size is None else "give more size, or prune"
        raise RefusedError(f"low_rank pays for a matrix [m, n] below rank mn / (m + n); got {', '.join(found)}; {advice}")
    after = tuned(network.content, learnt, epochs=epochs, learning_rate=learning_rate, seed=seed)
    step = texts_of(
        energy=energy,
        size=size,
        epochs=epochs,
        learning_rate=learning_rate,
        seed=seed,
        ranks=" ".join(f"{node}={rank}" for node, rank in ranks.items()),
        tuned_rows=after.rows,
        tuned_epochs=after.epochs,
    )
    return Candidate(after.onnx, (*candidate.steps, ("low_rank", step)))


def rank_of(matrix: Any, energy: float, size: float | None) -> int:
    """The rank for a share of the energy, or where there is a ``size`` for that share of the weights; 0: none is so small."""
    rows, columns = matrix.shape
    if size is not None:
        return int(min(size * rows * columns / (rows + columns), rows, columns))
    squares = np.linalg.svd(matrix.astype(np.float64), compute_uv=False) ** 2
    if not squares.sum():
        return 1
    kept = np.cumsum(squares) / squares.sum()
    return int(np.searchsorted(kept, energy - 1e-12) + 1)


def _factor(network: Network, layer: Layer, rank: int) -> None:
    """Two nodes in place of a layer's one; each factor has the roots of the singular values, so that both learn alike."""
    matrix, node = network.matrix(layer), network.node(layer.node)
    left, values, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    roots = np.sqrt(values[:rank])
    scaled = {name: value for name, value in attributes(node).items() if name in ("alpha", "beta")}
    first, second, between = (network.fresh(f"{layer.node}_low_rank{part}") for part in ("_a", "_b", ""))
    network.constants[first] = (left[:, :rank] * roots).astype(matrix.dtype)
    network.constants[second] = (roots[:, None] * right[:rank]).astype(matrix.dtype)
    network.replace(
        layer.node,
        [
            helper.make_node("MatMul", [node.input[0], first], [between], name=between),
            helper.make_node(node.op_type, [between, second, *list(node.input)[2:]], [layer.node], name=node.name, **scaled),
        ],
    )
