"""What a model costs, and what it says: size, memory, time, scores, and how near these are to the original's."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from features.inputs.matrix import Floats
from features.inputs.onnx import Onnx
from features.inputs.session import open_session
from features.inputs.signature import Signature
from jobs.training.metrics import Doubles

BATCHES = (1, 32, 256)
"""Rows that are scored at once, of which the time is measured."""
ROUNDS = {1: 400, 32: 300, 256: 200}
"""How often each model scores a batch of so many rows."""
WARM = 10
"""Rounds before, that are not counted."""
SPREAD = 1e-5
"""How far a row's scores alone and in a batch may be apart, in relation where they are above 1: the golden batch's tolerance."""
ALONE = 256
"""Rows that are scored alone as well."""
CHUNK = 65_536
"""Rows that are scored at once where time does not matter."""


class Agreement(msgspec.Struct, frozen=True):
    """How near scores are to the original's."""

    largest: float
    """The largest difference of a row's scores."""
    mean: float
    """The mean difference, whichever is larger."""
    rank_correlation: float
    """Spearman's: 1 where both put the rows in one order, NaN where one of them gives a single score."""


def scores_of(model: Onnx, x: Floats) -> Doubles:
    """The scores of ``x``, [n, inputs] → [n]."""
    name = model.signature.inputs[0].name
    parts = [model.run({name: x[first : first + CHUNK]}).scores for first in range(0, len(x), CHUNK)]
    return np.array([score for part in parts for score in part], np.float64)


def opened(onnx: bytes, signature: Signature) -> Onnx:
    """A model as serving opens it: on one thread."""
    return Onnx(open_session(onnx), signature)


def spread(model: Onnx, x: Floats) -> float:
    """The largest difference between a row's scores alone, and in a batch: 0 for trees. In relation where scores are above 1."""
    rows = x[:ALONE]
    together = scores_of(model, rows)
    alone = np.array([scores_of(model, rows[place : place + 1])[0] for place in range(len(rows))])
    return float((np.abs(together - alone) / np.maximum(1, np.abs(together))).max(initial=0))


def agreement(original: Doubles, scores: Doubles) -> Agreement:
    """How near ``scores`` are to the original's, [n] each."""
    apart = np.abs(scores - original)
    return Agreement(float(apart.max()), float(apart.mean()), rank_correlation(original, scores))


def rank_correlation(first: Doubles, second: Doubles) -> float:
    """Spearman's rank correlation of [n] and [n], ties by their mean rank (C. Spearman, 1904)."""
    a, b = (_ranks(one) for one in (first, second))
    if not a.std() or not b.std():
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def latencies(
    models: Sequence[bytes],
    signature: Signature,
    x: Floats,
    *,
    rounds: Mapping[int, int] = ROUNDS,
    clock: Callable[[], int] = time.perf_counter_ns,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[dict[int, float]]:
    """Of each model, by batch size, the median time of scoring such a batch of ``x``, in milliseconds.

    Sessions are as serving opens them, on one thread. The models take turns, in another order each round: what else the machine
    does meets them alike, and none has its caches always warm.
    """
    sessions = [open_session(onnx) for onnx in models]
    (taken,), given = signature.inputs, list(dict.fromkeys((signature.score[0], *signature.others)))
    found: list[dict[int, float]] = [{} for _ in models]
    shuffled = random.Random(0)  # noqa: S311 - nothing secret
    for step, (batch, count) in enumerate(rounds.items()):
        if on_progress:
            on_progress(step, len(rounds))
        times = np.zeros((len(models), count))
        order = list(range(len(models)))
        for turn in range(-WARM, count):
            rows = _batch(x, batch, turn)
            shuffled.shuffle(order)
            for place in order:
                began = clock()
                sessions[place].run(given, {taken.name: rows})
                if turn >= 0:
                    times[place, turn] = clock() - began
        for place, median in enumerate(np.median(times, axis=1)):
            found[place][batch] = float(median) / 1e6
    return found


def _batch(x: Floats, size: int, turn: int) -> Floats:
    """The rows of a turn, other ones each time, from the beginning again after the last."""
    places = (np.arange(size) + max(turn, 0) * size) % len(x)
    rows: Floats = np.ascontiguousarray(x[places])
    return rows


def _ranks(values: Doubles) -> Doubles:
    """The rank of each, equal ones by their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Doubles = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
