"""What trees and leaves are worth: how much worse an ensemble's scores are without them, on rows held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from jobs.compress.trees import Doubles, Ensemble, Nodes, Tree, as_leaves, bottom_up, leaf_of

ALIKE = 10.0
"""How many times the spread of one tree's scores that of another's may be, in a forest: of boosted trees the first has most."""

Loss = Callable[[Doubles, Doubles], Doubles]
"""Of raw scores and targets, [n] each: how bad each is, [n]."""


def squares(raw: Doubles, targets: Doubles) -> Doubles:
    """The squared errors, of a chance Brier's score (Brier 1950)."""
    found: Doubles = np.square(raw - targets)
    return found


def cross_entropy(raw: Doubles, targets: Doubles) -> Doubles:
    """The cross entropy of raw scores that are log odds."""
    found: Doubles = np.logaddexp(0, raw) - targets * raw
    return found


class Rows(msgspec.Struct, frozen=True):
    """The rows by which trees are judged."""

    grown: npt.NDArray[np.float32]
    """[m, features]: they say how much each leaf of a branch counts in the leaf that takes its place."""
    held: npt.NDArray[np.float32]
    """[n, features]: they say what is worth it."""
    targets: Doubles
    """[n]: what the scores of ``held`` should be."""


def is_forest(parts: Doubles) -> bool:
    """Whether the trees, whose raw scores ``parts`` is, [trees, n], are exchangeable: each alone says what they say together.

    Each has their mean, within their deviation, and none a spread much larger than another's.
    """
    total, spreads = parts.sum(axis=0), parts.std(axis=1)
    apart = np.abs(len(parts) * parts.mean(axis=1) - total.mean()).max()
    return bool(spreads.min() * ALIKE > spreads.max() and apart <= total.std())


def greedy(parts: Doubles, targets: Doubles, count: int, loss: Loss) -> list[int]:
    """Which ``count`` trees of a forest to keep, by their places: each time the one with which the mean of those kept is best.

    Reduce-error pruning of Margineantu & Dietterich, "Pruning adaptive boosting" (1997), without its back-fitting, by the
    loss of the mean instead of the votes' errors. ``parts``: [trees, n], each of which is a share of the sum.
    """
    kept: list[int] = []
    total = np.zeros(parts.shape[1])
    for size in range(1, count + 1):
        left = [place for place in range(len(parts)) if place not in kept]
        losses = [loss((total + parts[place]) * (len(parts) / size), targets).sum() for place in left]
        kept.append(left[int(np.argmin(losses))])
        total += parts[kept[-1]]
    return kept


class Paths(msgspec.Struct, frozen=True):
    """Where rows come to, tree by tree."""

    held: tuple[Nodes, ...]
    """The leaf of each row that is held out: [n]."""
    counts: tuple[Doubles, ...]
    """How many of the other rows come to each node as a leaf: [nodes]."""


def paths_of(ensemble: Ensemble, rows: Rows) -> Paths:
    """The paths of ``rows``."""
    counts = (np.bincount(leaf_of(tree, rows.grown), minlength=len(tree.modes)) for tree in ensemble.trees)
    return Paths(tuple(leaf_of(tree, rows.held) for tree in ensemble.trees), tuple(count.astype(np.float64) for count in counts))


def prune_leaves(ensemble: Ensemble, paths: Paths, targets: Doubles, column: int, penalty: float, loss: Loss) -> Ensemble:
    """The ensemble with each branch a leaf where what it adds to the loss on the rows held out is at most ``penalty`` a leaf.

    At 0 it is reduced-error pruning (Quinlan, "Simplifying decision trees", 1987), above it minimises the loss plus ``penalty``
    for each leaf (cost complexity; Breiman et al., "Classification and regression trees", 1984, chapter 3). A branch is judged
    with the other trees as they are by then. ``targets``, [n], are what the scores of the rows held out should be, ``column`` is
    the weights' that the score is of.
    """
    raw = np.zeros(len(targets)) + (ensemble.base[column] if ensemble.base else 0.0)
    for tree, at in zip(ensemble.trees, paths.held, strict=True):
        raw += _values(tree, column)[at]
    found = []
    for tree, at, counts in zip(ensemble.trees, paths.held, paths.counts, strict=True):
        rest = raw - _values(tree, column)[at]
        gone, values = _collapsed(tree, at, counts, rest, targets, column, penalty, loss)
        raw = rest + values
        found.append(as_leaves(tree, gone))
    return Ensemble(tuple(found), ensemble.columns, ensemble.base)


def _collapsed(
    tree: Tree, at: Nodes, counts: Doubles, rest: Doubles, targets: Doubles, column: int, penalty: float, loss: Loss
) -> tuple[dict[int, npt.NDArray[np.float32]], Doubles]:
    """The branches that become leaves, with their weights, and the tree's scores then, [n]. ``at`` are the leaves of the rows."""
    order = np.argsort(at, kind="stable")
    bounds = np.searchsorted(at[order], np.arange(len(tree.modes) + 1))
    values = _values(tree, column)[at]
    now = loss(rest + values, targets)
    within = {int(leaf): order[bounds[leaf] : bounds[leaf + 1]] for leaf in tree.leaves}
    size = dict.fromkeys(within, 1)
    gone: dict[int, npt.NDArray[np.float32]] = {}
    below: dict[int, list[int]] = {leaf: [leaf] for leaf in within}
    for place in bottom_up(tree):
        children = int(tree.true[place]), int(tree.false[place])
        of = within[place] = np.concatenate([within.pop(child) for child in children])
        leaves = below[place] = [leaf for child in children for leaf in below.pop(child)]
        size[place] = sum(size.pop(child) for child in children)
        weight = _mean(tree.weights[leaves], counts[leaves])
        one = float(np.nan_to_num(weight[column]))
        alone = loss(rest[of] + one, targets[of])
        if alone.sum() - now[of].sum() <= penalty * (size[place] - 1):
            gone[place], size[place] = weight, 1
            values[of], now[of] = one, alone
    return gone, values


def _mean(weights: npt.NDArray[np.float32], counts: Doubles) -> npt.NDArray[np.float32]:
    """The mean of leaves' weights, [leaves, columns] → [columns], by how many rows came to each, if any."""
    known = counts if counts.sum() else np.ones(len(counts))
    whole = np.average(np.nan_to_num(weights.astype(np.float64)), axis=0, weights=known)
    return np.where(np.isnan(weights).all(axis=0), np.nan, whole).astype(np.float32)


def _values(tree: Tree, column: int) -> Doubles:
    """What each node adds to the score: [nodes]."""
    return np.nan_to_num(tree.weights[:, column].astype(np.float64))


def parts_of(ensemble: Ensemble, x: npt.NDArray[np.float32], column: int) -> Doubles:
    """What each tree adds to the scores of ``x``: [trees, n]."""
    return np.array([_values(tree, column)[leaf_of(tree, x)] for tree in ensemble.trees])


def kept_trees(ensemble: Ensemble, places: Sequence[int], scale: float) -> Ensemble:
    """The ensemble of these trees, in the order in which they were, with their weights times ``scale``."""
    trees = [ensemble.trees[place] for place in sorted(places)]
    if scale != 1:
        trees = [msgspec.structs.replace(tree, weights=(tree.weights * np.float64(scale)).astype(np.float32)) for tree in trees]
    return Ensemble(tuple(trees), ensemble.columns, ensemble.base)
