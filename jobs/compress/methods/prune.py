"""Neurons and filters, or single weights, leave a network that was trained with them: pruning of networks.

Unstructured, the smallest magnitudes, again and again with training between: S. Han et al., *Learning both Weights and
Connections for Efficient Neural Networks*, NIPS 2015, section 3. Structured, whole filters by the sum of their magnitudes: H. Li
et al., *Pruning Filters for Efficient ConvNets*, ICLR 2017, section 3.1. ("Designing Machine Learning Systems", chapter 7,
"Pruning", has both meanings.)
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Literal

import numpy as np

from features.errors import SettingError
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.methods import texts_of
from jobs.compress.network import Network, multiply_adds, network_of
from jobs.compress.removal import keep, removable, worth_by_effect, worth_by_norm
from jobs.compress.tuning import Tuned, tuned
from jobs.training.networks.sparse import stored_sparsely

ROWS = 4096
"""Rows whose activations say what a neuron does, at most."""
LEVEL = 9
"""Of zlib: its best."""


def compress(
    candidate: Candidate,
    learnt: Learnt,
    *,
    kind: Literal["structured", "unstructured"] = "structured",
    share: float = 0.5,
    by: Literal["norm", "effect"] = "norm",
    steps: int = 3,
    epochs: int = 5,
    learning_rate: float = 0.001,
    seed: int = 0,
) -> Candidate:
    """Neurons and filters leave a network (structured), or its smallest weights become 0 (unstructured).

    ``structured``: of each layer but the last the ``share`` of neurons or filters that are worth least leaves, and the graph is
    smaller; ``by`` their ``norm``, the magnitudes of their weights, or their ``effect`` on the next layer over training rows.
    ``unstructured``: of each layer's weights the ``share`` of smallest magnitude becomes 0, whatever ``by`` says; the graph
    stays, and so do its size in memory and its latency. Weights that take fewer bytes so are stored as sparse initializers; the
    step says how many bytes the file took without, and how many that file takes compressed by zlib.

    Both go in ``steps``, each of which leaves the same share of what is left, with ``epochs`` of fine-tuning after each on the
    rows with a label; 0: none. Raises `RefusedError` for a graph without such layers, and where nothing can leave.
    """
    if not 0 < share < 1 or steps < 1:
        raise SettingError(f"prune:share is between 0 and 1, and steps 1 or more; got {share:g} and {steps}; change it")
    network = network_of(candidate.onnx, "prune")
    given = texts_of(kind=kind, share=share, by=by, steps=steps, epochs=epochs, learning_rate=learning_rate, seed=seed)
    before = _counts(network)
    onnx, after = candidate.onnx, Tuned(candidate.onnx, 0, 0)
    for number in range(1, steps + 1):
        left = (1 - share) ** (number / steps)
        onnx = _fewer(onnx, before, left, by, learnt) if kind == "structured" else _zeros(onnx, 1 - left)
        after = tuned(onnx, learnt, epochs=epochs, learning_rate=learning_rate, seed=seed, zeros_stay=kind == "unstructured")
        onnx = after.onnx
    if kind == "structured":
        had, has = multiply_adds(candidate.onnx), multiply_adds(onnx)
        if has == had:
            raise RefusedError(
                f"prune takes whole neurons or filters out; got share={share:g}, less than one of each layer's "
                f"{', '.join(map(str, before.values()))}; give more"
            )
        found = {"multiply_adds": f"{had} to {has}"}
    else:
        already, zeros = zeros_of(candidate.onnx), zeros_of(onnx)
        if zeros <= already:
            raise RefusedError(
                f"prune makes more weights 0; got share={share:g}, and {already:g} of them are 0 already; give more"
            )
        found = texts_of(zeros=zeros, dense_bytes=len(onnx), deflated_bytes=len(zlib.compress(onnx, LEVEL)))
        onnx = stored_sparsely(onnx)
    tuning = texts_of(tuned_rows=after.rows, tuned_epochs=after.epochs)
    return Candidate(onnx, (*candidate.steps, ("prune", {**given, **found, **tuning})))


def zeros_of(onnx: bytes) -> float:
    """The share of the layers' weights that is 0."""
    network = Network(onnx)
    weights = {layer.weights: network.constants[layer.weights] for layer in network.layers()}.values()
    return round(sum(int((one == 0).sum()) for one in weights) / sum(one.size for one in weights), 4)


def _counts(network: Network) -> dict[str, int]:
    """How many neurons each layer has of which some can leave, by the layer's output."""
    return {neurons.layer.node: neurons.count for neurons in removable(network)}


def _fewer(onnx: bytes, before: Mapping[str, int], left: float, by: str, learnt: Learnt) -> bytes:
    """The graph with the share ``left`` of the neurons that each layer had before."""
    network = Network(onnx)
    x = learnt.x[:: max(1, len(learnt.x) // ROWS)][:ROWS]
    if not any(count > 1 for count in before.values()):
        raise RefusedError(
            "prune takes neurons or filters out of a layer whose outputs go into one later layer; got a graph without one; "
            "take kind=unstructured"
        )
    worths = {
        one.layer.node: worth_by_norm(network, one) if by == "norm" else worth_by_effect(network, one, x)
        for one in removable(network)
    }
    for name, worth in worths.items():
        count = max(1, round(before[name] * left))
        neurons = next(one for one in removable(network) if one.layer.node == name)  # where they are now
        keep(network, neurons, np.sort(np.argsort(-worth, kind="stable")[:count]))
    return network.content


def _zeros(onnx: bytes, share: float) -> bytes:
    """The graph with the smallest ``share`` of each layer's weights as 0; ties in the order of their places."""
    network = Network(onnx)
    for layer in network.layers():
        weights = network.constants[layer.weights].copy()
        smallest = np.argsort(np.abs(weights), axis=None, kind="stable")[: round(share * weights.size)]
        weights.reshape(-1)[smallest] = 0
        network.constants[layer.weights] = weights
    return network.content
