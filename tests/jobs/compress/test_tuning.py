"""Fine-tuning: what it says where it cannot be done, and the command line's way to the methods."""

from __future__ import annotations

import sys

import pytest
from onnx import helper, load_model_from_string

from jobs.compress.candidate import Candidate, RefusedError
from jobs.compress.methods import bind
from jobs.compress.tuning import tuned
from tests.jobs.compress.networks import exported, learnt

pytestmark = pytest.mark.slow


def odd() -> Candidate:
    """The exported network with an operator on its way that training does not know."""
    model = load_model_from_string(exported().onnx)
    node = next(node for node in model.graph.node if node.op_type == "Tanh")
    node.CopyFrom(helper.make_node("Softsign", list(node.input), list(node.output)))
    return Candidate(model.SerializeToString())


def test_an_unknown_operator_refuses_the_method_by_name() -> None:
    """Without fine-tuning it is done."""
    with pytest.raises(RefusedError, match=r"a network is computed of Add, .*; got Softsign; .*epochs=0"):
        bind("compact_filters", {"epochs": "1"})(odd(), learnt(50))
    assert bind("compact_filters", {"epochs": "0"})(odd(), learnt(50)).steps[0][1]["tuned_rows"] == "0"


def test_without_the_extra_the_method_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, with what to install and how to do without."""
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(RefusedError, match=r"fine-tuning, which epochs=0 leaves out, needs the extra: .*\[networks\]"):
        tuned(exported().onnx, learnt(50), epochs=1, learning_rate=0.1, seed=0)


@pytest.mark.parametrize("recipe", ["low_rank:size=0.5", "prune:kind=unstructured,share=0.3", "prune:by=norm,steps=1"])
def test_methods_are_bound_from_texts(recipe: str) -> None:
    """As a recipe on the command line has them."""
    name, _, given = recipe.partition(":")
    method = bind(name, dict(one.split("=") for one in given.split(",")) | {"epochs": "0"})
    ((found, step),) = method(exported(), learnt(50)).steps
    assert found == name
    assert step.items() >= dict(one.split("=") for one in given.split(",")).items()
