"""Filters as one of each channel's own and one across channels: compact convolutional filters.

Depthwise and pointwise convolutions: A. G. Howard et al., *MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
Applications*, 2017, section 3.1. From trained filters rather than from nothing, as the least-squares factors of their kernels: M.
Jaderberg, A. Vedaldi, A. Zisserman, *Speeding up Convolutional Neural Networks with Low Rank Expansions*, BMVC 2014, section 2;
for each channel these are what Eckart and Young (1936) give.
"""

from __future__ import annotations

import numpy as np
from onnx import helper

from features.errors import SettingError
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.graph import attributes
from jobs.compress.methods import texts_of
from jobs.compress.network import Layer, Network, multiply_adds, network_of
from jobs.compress.tuning import tuned

POINTWISE = ("strides", "dilations", "pads", "auto_pad", "kernel_shape", "group")
"""What the depthwise convolution does, and the pointwise one does not again."""


def compress(
    candidate: Candidate,
    learnt: Learnt,
    *,
    filters: int = 1,
    epochs: int = 10,
    learning_rate: float = 0.001,
    seed: int = 0,
) -> Candidate:
    """Each Conv of k (or k x k) neighbours becomes a depthwise one and a pointwise one, from its trained weights.

    For each channel, its weights [out, k] are the nearest of rank ``filters``: so many filters of its own, and what each of them
    adds to each output. A Conv that this makes no smaller stays as it is: one of a single neighbour, say, or with groups. Then
    ``epochs`` of fine-tuning, 0 for none, on the rows with a label.

    Raises `RefusedError` where no Conv becomes smaller.
    """
    if filters < 1:
        raise SettingError(f"compact_filters:filters is 1 or more; got {filters}; give more")
    network = network_of(candidate.onnx, "compact_filters", ("conv",))
    convolutions = [layer for layer in network.layers() if layer.kind == "conv"]
    smaller = [layer for layer in convolutions if _pays(network, layer, filters)]
    if not smaller:
        came = ", ".join(" x ".join(map(str, network.constants[layer.weights].shape)) for layer in convolutions)
        raise RefusedError(
            "compact_filters pays for weights [out, in, k] without groups where filters < out k / (out + k); "
            f"got {came} and filters={filters}; prune them"
        )
    for layer in smaller:
        _split(network, layer, filters)
    after = tuned(network.content, learnt, epochs=epochs, learning_rate=learning_rate, seed=seed)
    step = texts_of(
        filters=filters,
        epochs=epochs,
        learning_rate=learning_rate,
        seed=seed,
        convolutions=" ".join(layer.node for layer in smaller),
        multiply_adds=f"{multiply_adds(candidate.onnx)} to {multiply_adds(after.onnx)}",
        tuned_rows=after.rows,
        tuned_epochs=after.epochs,
    )
    return Candidate(after.onnx, (*candidate.steps, ("compact_filters", step)))


def _pays(network: Network, layer: Layer, filters: int) -> bool:
    outputs, _, *kernel = network.constants[layer.weights].shape
    size = int(np.prod(kernel))
    return layer.groups == 1 and filters < outputs * size / (outputs + size)


def _split(network: Network, layer: Layer, filters: int) -> None:
    weights, node = network.constants[layer.weights], network.node(layer.node)
    outputs, inputs, *kernel = weights.shape
    unfolded = weights.astype(np.float64).reshape(outputs, inputs, -1).transpose(1, 0, 2)
    left, values, right = np.linalg.svd(unfolded, full_matrices=False)  # of each channel [out, k]
    roots = np.sqrt(values[:, :filters])
    depthwise = (roots[:, :, None] * right[:, :filters]).reshape(inputs * filters, 1, *kernel)
    pointwise = (
        (left[:, :, :filters] * roots[:, None, :]).transpose(1, 0, 2).reshape(outputs, inputs * filters, *[1] * len(kernel))
    )
    first, second, between = (network.fresh(f"{layer.node}_{part}") for part in ("depthwise", "pointwise", "channels"))
    network.constants[first] = depthwise.astype(weights.dtype)
    network.constants[second] = pointwise.astype(weights.dtype)
    given = attributes(node)
    network.replace(
        layer.node,
        [
            helper.make_node("Conv", [node.input[0], first], [between], name=between, **(given | {"group": inputs})),
            helper.make_node(
                "Conv",
                [between, second, *list(node.input)[2:]],
                [layer.node],
                name=node.name,
                **{name: value for name, value in given.items() if name not in POINTWISE},
            ),
        ],
    )
