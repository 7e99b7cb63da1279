"""Trees pruned by their worth on rows held out: whole trees, and the leaves of those that stay."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from scipy.special import expit

from features.errors import SettingError
from features.inputs.session import open_session
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.methods import texts_of
from jobs.compress.trees import Columns, Doubles, Ensemble, all_merged, raw_scores, read_trees, tree_node, write_trees
from jobs.compress.worth import (
    Loss,
    Rows,
    cross_entropy,
    greedy,
    is_forest,
    kept_trees,
    parts_of,
    paths_of,
    prune_leaves,
    squares,
)
from jobs.training.fitted import onnx_scores

CLOSE = 1e-4
"""How far the scores of trees read from a graph may be from the graph's: sums in float32 and in doubles."""
PASSES = 14
"""How often the penalty of a leaf is halved or doubled towards the share of leaves that is wanted."""
RATIO = 8.0
"""What the penalty is multiplied by as long as too many leaves stay."""


def compress(
    candidate: Candidate,
    learnt: Learnt,
    *,
    trees: float = 0.25,
    leaves: float = 0.5,
    held: float = 0.5,
    worth: Literal["labels", "scores"] = "labels",
) -> Candidate:
    """Keep a share of the trees, and of the leaves of those, by their worth on the later training rows.

    ``trees`` and ``leaves`` are the shares that stay, at most: 0 < share ≤ 1. Of a forest a greedy choice of trees stays, whose
    weights grow so that they stay a mean (`greedy`); of boosted trees the first ones, as each corrects those before it. Then
    branches that are worth least become leaves (`prune_leaves`); those whose leaves say the same go in any case. ``held`` is the
    share of the rows, the last ones, by which worth is measured: against their ``labels``, or the original's ``scores``, which
    rows without a label have too. The model was fitted to these rows: against labels they flatter leaves that learnt them by
    heart, which is why a share is given instead of trusting that what hurts here is worth its place. The step says how many rows.

    Raises `RefusedError` for a graph without trees, with trees whose score does not follow from their sum, or where all of them
    would stay, and `SettingError` for a share out of bounds.
    """
    for name, share in (("trees", trees), ("leaves", leaves)):
        if not 0 < share <= 1:
            raise SettingError(f"prune_trees keeps a share of the {name}, above 0 and up to 1; got {name}={share}; give 0.5, say")
    if not 0 < held < 1:
        raise SettingError(f"prune_trees holds out a share of the rows, between 0 and 1; got held={held}; give 0.5, say")
    model = onnx.load_from_string(candidate.onnx)
    ensemble = read_trees(tree_node(model))
    scores = onnx_scores(candidate.onnx, learnt.x)
    x = _taken(model, learnt)
    column, loss = _link(ensemble, x, scores)
    known = np.ones(len(x), bool) if worth == "scores" else ~np.isnan(learnt.labels)
    grown, targets = x[known], (scores if worth == "scores" else learnt.labels)[known]
    first = len(grown) - round(held * len(grown))
    if not 0 < first < len(grown):
        raise RefusedError(f"trees are pruned by rows that are held out; got {len(grown)} rows with {worth}; take more days")
    rows = Rows(grown[:first], grown[first:], targets[first:])
    kept = _with_trees(ensemble, rows, column, max(1, round(trees * len(ensemble.trees))), loss)
    kept = all_merged(kept)
    kept = all_merged(_with_leaves(kept, rows, column, leaves * kept.leaves, loss)) if leaves < 1 else kept
    made = write_trees(model, kept)
    if kept.leaves >= ensemble.leaves:
        raise RefusedError(
            f"prune_trees takes leaves away; got {ensemble.leaves:,} leaves, and with trees={trees:g}, leaves={leaves:g} all "
            "of them stay; keep a smaller share"
        )
    step = texts_of(trees=trees, leaves=leaves, held=held, worth=worth, judged_rows=len(rows.held))
    return Candidate(made, (*candidate.steps, ("prune_trees", step)))


def _taken(model: onnx.ModelProto, learnt: Learnt) -> Columns:
    """What the node of trees is fed for the rows: behind an imputer, say, not the model's input."""
    name = tree_node(model).input[0]
    if name == model.graph.input[0].name:
        return learnt.x
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    if name not in {output.name for output in shown.graph.output}:
        shown.graph.output.append(onnx.ValueInfoProto(name=name))
    found: Columns = open_session(shown.SerializeToString()).run([name], {model.graph.input[0].name: learnt.x})[0]
    return found


def _link(ensemble: Ensemble, x: Columns, scores: Doubles) -> tuple[int, Loss]:
    """Which column of the sums the score follows from, and how: as it is, or as the chance of log odds.

    Raises `RefusedError` where it is neither.
    """
    raw = raw_scores(ensemble, x)
    for column in reversed(range(raw.shape[1])):
        if np.abs(raw[:, column] - scores).max() <= CLOSE * max(1.0, float(np.abs(scores).max())):
            return column, squares
        if np.abs(expit(raw[:, column]) - scores).max() <= CLOSE:
            return column, cross_entropy
    raise RefusedError(
        "trees are pruned of a model whose score is their sum, or the chance of which it is the log odds; got one whose score is "
        "neither; take another method, distill say"
    )


def _with_trees(ensemble: Ensemble, rows: Rows, column: int, count: int, loss: Loss) -> Ensemble:
    """The ensemble with so many of its trees."""
    whole = len(ensemble.trees)
    if count >= whole:
        return ensemble
    parts = parts_of(ensemble, rows.held, column)
    if loss is cross_entropy or any(ensemble.base) or not is_forest(parts):
        return kept_trees(ensemble, range(count), 1)
    return kept_trees(ensemble, greedy(parts, rows.targets, count, loss), whole / count)


def _with_leaves(ensemble: Ensemble, rows: Rows, column: int, most: float, loss: Loss) -> Ensemble:
    """The ensemble with at most so many leaves, or one for each tree: the penalty of a leaf is as small as that allows."""
    paths, targets = paths_of(ensemble, rows), rows.targets
    found = prune_leaves(ensemble, paths, targets, column, 0, loss)
    most = max(most, len(ensemble.trees))
    if found.leaves <= most:
        return found
    low, high = 0.0, max(1e-12, float(loss(np.zeros(len(targets)), targets).mean()) / len(targets))
    while (found := prune_leaves(ensemble, paths, targets, column, high, loss)).leaves > most:
        low, high = high, high * RATIO
    for _ in range(PASSES):
        middle = (low * high) ** 0.5 if low else high / RATIO
        tried = prune_leaves(ensemble, paths, targets, column, middle, loss)
        if tried.leaves > most:
            low = middle
        else:
            high, found = middle, tried
        if found.leaves > 0.95 * most:
            break
    return found
