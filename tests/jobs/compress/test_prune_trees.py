"""Trees as arrays are the graph's to the bit, and pruned ones are what the arrays say."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import SettingError
from features.inputs.session import open_session
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.methods.prune_trees import compress
from jobs.compress.trees import LEAF, Ensemble, Tree, all_merged, leaf_of, raw_scores, read_trees, tree_node, write_trees
from jobs.compress.worth import Rows, cross_entropy, greedy, is_forest, parts_of, paths_of, prune_leaves, squares
from jobs.training.fitted import onnx_scores
from jobs.training.trainers import lightgbm, logistic, random_forest, xgboost

pytestmark = pytest.mark.slow

TRAINERS: dict[str, Any] = {"lightgbm": lightgbm, "random_forest": random_forest, "xgboost": xgboost}
CASES = [(name, task) for name in TRAINERS for task in ("classification", "regression")]
WIDTH = 3


def learnt(task: Any = "classification", rows: int = 1500) -> Learnt:
    """Rows of four inputs, a tenth null, whose label depends on two of them."""
    random = np.random.default_rng(1)
    x = random.normal(size=(rows, 4)).astype(np.float32)
    amounts = x[:, 0] + x[:, 1] ** 2 + random.normal(size=rows) / 2
    x[random.random(x.shape) < 0.1] = np.nan
    labels = (amounts > 1).astype(np.float64) if task == "classification" else amounts.astype(np.float64)
    return Learnt(x, labels, task)


def trained(name: str, task: str, trees: int = 12) -> bytes:
    """A model of a trainer."""
    of = learnt(task)
    found: bytes = TRAINERS[name].fit(of.x, of.labels, task, trees=trees, depth=4).onnx
    return found


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Any tree of at most 15 nodes: every mode of branches, thresholds that inputs are equal to, and leaves that say the same."""
    modes: list[bytes] = []
    true: list[int] = []
    false: list[int] = []

    def grow(depth: int) -> int:
        place = len(modes)
        branch = depth < 3 and draw(st.booleans())
        modes.append(draw(st.sampled_from([b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT"])) if branch else b"LEAF")
        true.append(LEAF)
        false.append(LEAF)
        if branch:
            true[place] = grow(depth + 1)
            false[place] = grow(depth + 1)
        return place

    grow(0)
    size, leaf = len(modes), np.array(true) == LEAF
    numbers = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])
    each = lambda of: draw(st.lists(of, min_size=size, max_size=size))  # noqa: E731
    return Tree(
        tuple(modes),
        np.array(each(st.integers(0, WIDTH - 1))) * ~leaf,
        np.where(leaf, 0, np.array(each(numbers))).astype(np.float32),
        np.array(each(st.booleans())) & ~leaf,
        np.array(true),
        np.array(false),
        np.where(leaf, np.array(each(st.sampled_from([0.25, 0.5, -1.5, 1 / 3]))), np.nan).astype(np.float32)[:, None],
    )


ensembles = st.builds(
    lambda trees, base: Ensemble(tuple(trees), (0,), base),
    st.lists(trees(), min_size=1, max_size=5),
    st.sampled_from([(), (0.75,)]),
)
inputs = st.lists(
    st.lists(st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, np.nan]), min_size=WIDTH, max_size=WIDTH),
    min_size=1,
    max_size=30,
).map(lambda rows: np.array(rows, np.float32))


def graph() -> onnx.ModelProto:
    """A graph of one node of trees, a regression's, with a tree that is a leaf."""
    names = ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids")
    ids = ("target_treeids", "target_nodeids", "target_ids")
    node = onnx.helper.make_node(
        "TreeEnsembleRegressor",
        ["inputs"],
        ["score"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_values=[0.0],
        nodes_modes=["LEAF"],
        target_weights=[1.0],
        **{name: [0] for name in (*names, *ids)},
    )
    value = onnx.helper.make_tensor_value_info
    of = onnx.helper.make_graph([node], "trees", [value("inputs", 1, [None, WIDTH])], [value("score", 1, [None, 1])])
    versions = [onnx.helper.make_opsetid("", 13), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    return onnx.helper.make_model(of, opset_imports=versions, ir_version=8)


def run(content: bytes, x: Any) -> Any:
    """What ONNX Runtime gives."""
    return open_session(content).run(None, {"inputs": x})[0]


@settings(max_examples=150, deadline=None)
@given(ensembles, inputs)
def test_a_graph_of_written_trees_gives_what_the_arrays_say(ensemble: Ensemble, x: Any) -> None:
    """ONNX Runtime comes to the leaves that numpy comes to, nulls and values on a threshold included."""
    found = run(write_trees(graph(), ensemble), x)
    assert np.allclose(found, raw_scores(ensemble, x), rtol=1e-6, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(ensembles, inputs)
def test_read_trees_written_again_score_the_same_bits(ensemble: Ensemble, x: Any) -> None:
    """Also where branches whose leaves say the same are gone."""
    content = write_trees(graph(), ensemble)
    model = onnx.load_model_from_string(content)
    again = read_trees(tree_node(model))
    assert np.array_equal(run(write_trees(model, again), x), run(content, x))
    smaller = all_merged(again)
    assert smaller.leaves <= again.leaves
    assert np.array_equal(run(write_trees(model, smaller), x), run(content, x))


@settings(max_examples=60, deadline=None)
@given(ensembles, inputs, st.floats(0, 1))
def test_a_pruned_graph_gives_what_the_pruned_arrays_say(ensemble: Ensemble, x: Any, penalty: float) -> None:
    """Whatever is pruned: the written graph and numpy agree, and nothing grows."""
    targets = np.linspace(-1, 1, len(x))
    pruned = prune_leaves(ensemble, paths_of(ensemble, Rows(x, x, targets)), targets, 0, penalty, squares)
    assert pruned.leaves <= ensemble.leaves
    assert np.allclose(run(write_trees(graph(), pruned), x), raw_scores(pruned, x), rtol=1e-6, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(ensembles, inputs)
def test_reduced_error_pruning_never_makes_the_rows_held_out_worse(ensemble: Ensemble, x: Any) -> None:
    """At a penalty of 0 a branch goes only where its leaf is as good."""
    targets = np.linspace(-1, 1, len(x))
    pruned = prune_leaves(ensemble, paths_of(ensemble, Rows(x, x, targets)), targets, 0, 0, squares)
    before, after = (squares(raw_scores(of, x)[:, 0], targets).sum() for of in (ensemble, pruned))
    assert after <= before + 1e-5 * max(1, before)  # a leaf's weight is a float32


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_trainers_model_rewritten_is_the_same_to_the_bit(name: str, task: str) -> None:
    """Behind an imputer as well as at the input, of each library."""
    content, x = trained(name, task), learnt(task).x
    model = onnx.load_model_from_string(content)
    ensemble = read_trees(tree_node(model))
    assert len(ensemble.trees) == 12
    assert np.array_equal(onnx_scores(write_trees(model, ensemble), x), onnx_scores(content, x))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_model_is_smaller_by_the_shares(name: str, task: str) -> None:
    """A third of the trees and half of their leaves, and the scores still follow the original's."""
    content, of = trained(name, task), learnt(task)
    made = compress(Candidate(content), of, trees=1 / 3, leaves=0.5)
    before, after = (read_trees(tree_node(onnx.load_model_from_string(one))) for one in (content, made.onnx))
    assert len(after.trees) == 4
    assert after.leaves <= before.leaves / 5
    assert len(made.onnx) < len(content) / 2
    assert np.corrcoef(onnx_scores(made.onnx, of.x), onnx_scores(content, of.x))[0, 1] > 0.8
    given = {"trees": str(1 / 3), "leaves": "0.5", "held": "0.5", "worth": "labels"}
    assert made.steps == (("prune_trees", {**given, "judged_rows": "750"}),)


def test_a_chain_of_prunings_tells_its_steps() -> None:
    """What is pruned twice says so, and a forest that lost trees is still a mean."""
    of = learnt()
    once = compress(Candidate(trained("random_forest", "classification")), of, trees=0.5, leaves=1)
    twice = compress(once, of, trees=0.5, leaves=1)
    assert [name for name, _ in twice.steps] == ["prune_trees", "prune_trees"]
    assert onnx_scores(twice.onnx, of.x).max() <= 1 + 1e-6
    assert abs(onnx_scores(twice.onnx, of.x).mean() - of.labels.mean()) < 0.05


def test_rows_without_labels_judge_by_the_originals_scores() -> None:
    """Where no label is known, pruning by labels is refused, and by scores it works."""
    of = msgspec.structs.replace(learnt(), labels=np.full(1500, np.nan))
    candidate = Candidate(trained("xgboost", "classification"))
    assert len(compress(candidate, of, worth="scores").onnx) < len(candidate.onnx)
    with pytest.raises(RefusedError, match="got 0 rows with labels"):
        compress(candidate, of)


def test_a_forest_is_known_by_its_trees() -> None:
    """Each follows the whole; of boosted trees the later ones do not."""
    x = learnt("regression").x
    for name, expected in (("random_forest", True), ("lightgbm", False), ("xgboost", False)):
        model = onnx.load_model_from_string(trained(name, "regression", trees=40))
        fed = x if name != "random_forest" else np.hstack([np.nan_to_num(x), np.isnan(x)]).astype(np.float32)
        assert is_forest(parts_of(read_trees(tree_node(model)), fed, 0)) is expected


def test_the_greedy_choice_takes_the_tree_that_helps_most() -> None:
    """The best one first, then the one that mends its error, not the second best."""
    targets = np.array([1.0, 0.0, 1.0, 0.0])
    parts = np.array([[0.9, 0.1, 0.6, 0.4], [0.85, 0.1, 0.6, 0.45], [0.9, 0.2, 1.5, -0.5]]) / 3
    assert greedy(parts, targets, 2, squares) == [0, 2]
    assert cross_entropy(np.array([0.0]), np.array([1.0]))[0] == pytest.approx(np.log(2))


def test_what_has_no_trees_is_refused() -> None:
    """With what it has, and what to do."""
    of = learnt()
    content = logistic.fit(of.x, of.labels, "classification").onnx
    with pytest.raises(RefusedError, match=r"trees are pruned of a model that has some; got a graph of .*; take another method"):
        compress(Candidate(content), of)


def test_a_score_that_is_no_sum_of_trees_is_refused() -> None:
    """A graph that squares the trees' sum has another score."""
    model = onnx.load_model_from_string(trained("lightgbm", "regression"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["variable", "variable"], ["squared"]))
    model.graph.output[0].name = "squared"
    with pytest.raises(RefusedError, match="whose score is neither"):
        compress(Candidate(model.SerializeToString()), learnt("regression"))


def test_shares_that_leave_everything_are_refused() -> None:
    """Nothing is said to be pruned that is not."""
    with pytest.raises(RefusedError, match="all of them stay; keep a smaller share"):
        compress(Candidate(trained("xgboost", "classification")), learnt(), trees=1, leaves=1)


@pytest.mark.parametrize("bad", [{"trees": 0.0}, {"leaves": 1.5}, {"held": 1.0}])
def test_shares_have_bounds(bad: dict[str, float]) -> None:
    """What is out of them is refused with its name and value."""
    name = next(iter(bad))
    with pytest.raises(SettingError, match=f"got {name}="):
        compress(Candidate(b""), learnt(), **bad)


def test_leaf_of_comes_to_the_root_of_a_single_leaf() -> None:
    """A tree without branches has one leaf for all rows."""
    tree = read_trees(tree_node(graph())).trees[0]
    assert leaf_of(tree, np.zeros((3, WIDTH), np.float32)).tolist() == [0, 0, 0]
