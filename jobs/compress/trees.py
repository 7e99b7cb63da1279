"""The trees of an ONNX graph as arrays: read from their node, scored by numpy, and written back exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx

from jobs.compress.candidate import RefusedError
from jobs.compress.graph import attributes

Nodes = npt.NDArray[np.int64]
Columns = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Doubles = npt.NDArray[np.float64]
KINDS = {"TreeEnsembleClassifier": "class", "TreeEnsembleRegressor": "target"}
"""ONNX's nodes of trees, and what the names of their leaves' attributes begin with."""
LEAF = -1
"""In place of a branch's children."""
COMPARED: dict[bytes, Callable[[Any, Any], Any]] = {
    b"BRANCH_LEQ": np.less_equal,
    b"BRANCH_LT": np.less,
    b"BRANCH_GTE": np.greater_equal,
    b"BRANCH_GT": np.greater,
    b"BRANCH_EQ": np.equal,
    b"BRANCH_NEQ": np.not_equal,
}
"""ONNX's modes of a branch: which values take its true side. NaN takes the false one, or the true one where the node says so."""
MISSING = "nodes_missing_value_tracks_true"
NODES = tuple(f"nodes_{name}" for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"))


class Tree(msgspec.Struct, frozen=True):
    """One tree. Its arrays have a place for each node; the first is the root's."""

    modes: tuple[bytes, ...]
    """A key of `COMPARED`, or LEAF."""
    features: Nodes
    """The column that a branch looks at."""
    values: npt.NDArray[np.float32]
    """What a branch compares it with."""
    missing: npt.NDArray[np.bool_]
    """Whether NaN takes the true side."""
    true: Nodes
    """The place of the child on the true side; `LEAF` of leaves."""
    false: Nodes
    weights: npt.NDArray[np.float32]
    """[nodes, columns]: what a leaf adds to each class or target; NaN where it says nothing, and of branches."""

    @property
    def leaves(self) -> Nodes:
        """The places of its leaves."""
        return np.flatnonzero(self.true == LEAF)


class Ensemble(msgspec.Struct, frozen=True):
    """The trees of a node, in the order in which their leaves are added up."""

    trees: tuple[Tree, ...]
    columns: tuple[int, ...]
    """The ids of the classes or targets that the weights' columns are of."""
    base: tuple[float, ...] = ()
    """The node's ``base_values``."""

    @property
    def leaves(self) -> int:
        """How many leaves all trees have."""
        return sum(len(tree.leaves) for tree in self.trees)


def tree_node(model: onnx.ModelProto) -> onnx.NodeProto:
    """The graph's one node of trees. Raises `RefusedError` where there are more or none, or it is not read here."""
    found = [node for node in model.graph.node if node.op_type in KINDS or node.op_type == "TreeEnsemble"]
    if not found:
        kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
        raise RefusedError(f"trees are pruned of a model that has some; got a graph of {kinds}; take another method")
    if len(found) > 1:
        raise RefusedError(
            f"the trees of one node are pruned, whose sum is the score; got {len(found)} nodes of trees; take another method"
        )
    node, given = found[0], attributes(found[0])
    if node.op_type not in KINDS:
        raise RefusedError(
            "trees are read from TreeEnsembleClassifier and TreeEnsembleRegressor; got a TreeEnsemble of ai.onnx.ml 5; "
            "convert the model with a lower target_opset"
        )
    doubles = sorted(name for name in given if name.endswith("_as_tensor"))
    if doubles:
        raise RefusedError(f"trees that are pruned have float32 values; got {doubles[0]}; convert the model with floats")
    if given.get("aggregate_function", b"SUM") != b"SUM":
        how = given["aggregate_function"].decode()
        raise RefusedError(f"trees that are pruned are added up; got aggregate_function {how}; take another method")
    unknown = set(given["nodes_modes"]) - COMPARED.keys() - {b"LEAF"}
    if unknown:
        raise RefusedError(f"branches that are read compare numbers; got mode {min(unknown).decode()}; take another method")
    return node


def read_trees(node: onnx.NodeProto) -> Ensemble:
    """The trees of a node that `tree_node` gave. Raises `RefusedError` where a leaf has two weights for one class or target."""
    kind, given = KINDS[node.op_type], attributes(node)
    trees, ids = np.array(given["nodes_treeids"], np.int64), np.array(given["nodes_nodeids"], np.int64)
    places = {key: place for place, key in enumerate(zip(trees.tolist(), ids.tolist(), strict=True))}
    targets = np.array(given[f"{kind}_ids"], np.int64)
    columns = tuple(sorted(set(targets.tolist())))
    keys = zip(given[f"{kind}_treeids"], given[f"{kind}_nodeids"], strict=True)
    rows = np.array([places[key] for key in keys], np.int64)
    if len(set(zip(rows.tolist(), targets.tolist(), strict=True))) < len(rows):
        raise RefusedError("a leaf that is read has one weight for each class or target; got two; take another method")
    weights = np.full((len(trees), len(columns)), np.nan, np.float32)
    weights[rows, np.searchsorted(columns, targets)] = np.array(given[f"{kind}_weights"], np.float32)
    modes = given["nodes_modes"]
    features, values = np.array(given["nodes_featureids"], np.int64), np.array(given["nodes_values"], np.float32)
    missing = np.array(given.get(MISSING, [0] * len(trees)), bool)
    found = []
    for one in dict.fromkeys(trees.tolist()):  # in the order of the node
        of = np.flatnonzero(trees == one)
        within = {int(ids[place]): n for n, place in enumerate(of)}
        true, false = (
            np.array([LEAF if modes[place] == b"LEAF" else within[given[name][place]] for place in of], np.int64)
            for name in ("nodes_truenodeids", "nodes_falsenodeids")
        )
        tree = Tree(tuple(modes[place] for place in of), features[of], values[of], missing[of], true, false, weights[of])
        found.append(sub_tree(tree, _root(tree)))
    return Ensemble(tuple(found), columns, tuple(given.get("base_values", ())))


def write_trees(model: onnx.ModelProto, ensemble: Ensemble) -> bytes:
    """``model``, which stays as it is, with these trees in its node of trees. Other attributes are the node's own.

    Hit rates, and sides of NaN where all are the false one, are left out: no score depends on them.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    node = tree_node(made)
    kind = KINDS[node.op_type]
    written: dict[str, list[Any]] = {name: [] for name in (*NODES, MISSING)}
    leaves: dict[str, list[Any]] = {f"{kind}_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, tree in enumerate(ensemble.trees):
        size, leaf = len(tree.modes), tree.true == LEAF
        written["nodes_treeids"] += [number] * size
        written["nodes_nodeids"] += range(size)
        written["nodes_featureids"] += tree.features.tolist()
        written["nodes_values"] += tree.values.tolist()
        written["nodes_modes"] += tree.modes
        written["nodes_truenodeids"] += np.where(leaf, 0, tree.true).tolist()
        written["nodes_falsenodeids"] += np.where(leaf, 0, tree.false).tolist()
        written[MISSING] += tree.missing.astype(int).tolist()
        for place, column in zip(*np.nonzero(~np.isnan(tree.weights)), strict=True):
            leaves[f"{kind}_treeids"].append(number)
            leaves[f"{kind}_nodeids"].append(int(place))
            leaves[f"{kind}_ids"].append(ensemble.columns[column])
            leaves[f"{kind}_weights"].append(float(tree.weights[place, column]))
    if not any(written[MISSING]):
        del written[MISSING]
    kept = [a for a in node.attribute if a.name not in {*NODES, MISSING, "nodes_hitrates", "base_values", *leaves}]
    base = {"base_values": list(ensemble.base)} if ensemble.base else {}
    made_of = [onnx.helper.make_attribute(name, value) for name, value in {**written, **leaves, **base}.items()]
    del node.attribute[:]
    node.attribute.extend(sorted([*kept, *made_of], key=lambda attribute: attribute.name))
    content: bytes = made.SerializeToString()
    return content


def rewritten(content: bytes) -> bytes:
    """A graph whose trees are written as shortly as `write_trees` and `merged` do; one without trees as it is."""
    model = onnx.load_model_from_string(content)
    if not any(node.op_type in KINDS for node in model.graph.node):
        return content
    return write_trees(model, all_merged(read_trees(tree_node(model))))


def leaf_of(tree: Tree, x: Columns) -> Nodes:
    """The place of the leaf that each row of ``x``, [n, features], comes to: [n]."""
    by_mode = {mode: np.array([one == mode for one in tree.modes]) for mode in set(tree.modes) - {b"LEAF"}}
    at = np.zeros(len(x), np.int64)
    looking = np.arange(len(x)) if tree.true[0] != LEAF else np.arange(0)
    while len(looking):
        here = at[looking]
        value = x[looking, tree.features[here]]
        true = np.isnan(value) & tree.missing[here]
        for mode, of in by_mode.items():
            true |= of[here] & COMPARED[mode](value, tree.values[here])
        at[looking] = np.where(true, tree.true[here], tree.false[here])
        looking = looking[tree.true[at[looking]] != LEAF]
    return at


def raw_scores(ensemble: Ensemble, x: Columns) -> Doubles:
    """The sums of the leaves' weights and the base for the rows of ``x``, before the node's ``post_transform``: [n, columns]."""
    total: Doubles = np.zeros((len(x), len(ensemble.columns))) + np.array(ensemble.base or 0.0)
    for tree in ensemble.trees:
        total += np.nan_to_num(tree.weights[leaf_of(tree, x)].astype(np.float64))
    return total


def sub_tree(tree: Tree, root: int) -> Tree:
    """What of a tree can be reached from a node, its nodes in the order in which they were."""
    reached, waiting = set(), [root]
    while waiting:
        place = waiting.pop()
        reached.add(place)
        if tree.true[place] != LEAF:
            waiting += [int(tree.true[place]), int(tree.false[place])]
    kept = np.array([root, *sorted(reached - {root})])
    new = np.full(len(tree.modes), LEAF)
    new[kept] = np.arange(len(kept))
    true, false = (np.where(side[kept] == LEAF, LEAF, new[side[kept]]) for side in (tree.true, tree.false))
    modes = tuple(tree.modes[place] for place in kept)
    return Tree(modes, tree.features[kept], tree.values[kept], tree.missing[kept], true, false, tree.weights[kept])


def as_leaves(tree: Tree, weights: Mapping[int, npt.NDArray[np.float32]]) -> Tree:
    """A tree in which these nodes, by their places, are leaves with these weights, [columns]; what was below is gone."""
    modes, of = list(tree.modes), tree.weights.copy()
    true, false, features = tree.true.copy(), tree.false.copy(), tree.features.copy()
    values, missing = tree.values.copy(), tree.missing.copy()
    for place, weight in weights.items():
        modes[place], of[place] = b"LEAF", weight
        true[place] = false[place] = LEAF
        features[place], values[place], missing[place] = 0, 0, False
    return sub_tree(Tree(tuple(modes), features, values, missing, true, false, of), 0)


def bottom_up(tree: Tree) -> list[int]:
    """The places of the branches, each after those below it."""
    order, waiting = [], [0]
    while waiting:
        place = waiting.pop()
        if tree.true[place] != LEAF:
            order.append(place)
            waiting += [int(tree.true[place]), int(tree.false[place])]
    return order[::-1]


def merged(tree: Tree) -> Tree:
    """The same tree without the branches whose leaves below all say the same: every score stays as it is, to the bit."""
    same: dict[int, npt.NDArray[np.float32]] = {int(place): tree.weights[place] for place in tree.leaves}
    gone = {}
    for place in bottom_up(tree):
        true, false = same.get(int(tree.true[place])), same.get(int(tree.false[place]))
        if true is not None and false is not None and np.array_equal(true, false, equal_nan=True):
            same[place] = gone[place] = true
    return as_leaves(tree, gone)


def all_merged(ensemble: Ensemble) -> Ensemble:
    """The ensemble with each of its trees `merged`."""
    return msgspec.structs.replace(ensemble, trees=tuple(map(merged, ensemble.trees)))


def _root(tree: Tree) -> int:
    """The node that is no other's child."""
    children = {*tree.true.tolist(), *tree.false.tolist()}
    return next(place for place in range(len(tree.modes)) if place not in children)
