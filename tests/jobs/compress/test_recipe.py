"""Recipes: methods, their parameters as texts, and chains; what does not fit is one line."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Literal

import pytest

from features.errors import HeadraceError, SettingError
from jobs.compress import methods
from jobs.compress.candidate import Candidate, Learnt
from jobs.compress.recipe import default_recipes, noted, recipe, text_of
from tests.jobs.compress.test_quantize import learnt
from tests.support.networks import mlp

pytestmark = pytest.mark.slow


def compress(
    candidate: Candidate,
    learnt: Learnt,
    *,
    share: float = 0.5,
    rounds: int = 2,
    fine: bool = False,
    norm: Literal["l1", "l2"] = "l1",
    budget: float | None = None,
) -> Candidate:
    """A method for these tests."""
    values = {"share": share, "rounds": rounds, "fine": fine, "norm": norm, "budget": budget, "seconds": "3"}
    step = "trimmed", {name: methods.text_of(value) for name, value in values.items()}
    return Candidate(candidate.onnx + b" ", (*candidate.steps, step))


@pytest.fixture
def trimmed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A method 'trimmed' beside those that are there."""
    there = methods.methods()
    monkeypatch.setattr(methods, "methods", lambda: (*there, "trimmed"))
    monkeypatch.setitem(sys.modules, "jobs.compress.methods.trimmed", sys.modules[__name__])
    return


def test_every_method_can_be_bound_and_says_what_it_does() -> None:
    """Each has help of one line, and all its defaults are values that a recipe could give."""
    assert "quantize" in methods.methods()
    for name in methods.methods():
        assert methods.described(name).endswith("."), name
        given = {key: methods.text_of(value) for key, value in methods.parameters(name).items() if value not in ("", None)}
        assert methods.bind(name, given).keywords == methods.parameters(name), name


@pytest.mark.usefixtures("trimmed")
def test_texts_become_values() -> None:
    """By the annotations: numbers, truths, choices, and none where a parameter may be none."""
    (step,) = recipe("trimmed:share=1e+3,rounds=4,fine=true,norm=l2,budget=0.25").steps
    expected = {"share": 1000.0, "rounds": 4, "fine": True, "norm": "l2", "budget": 0.25}
    assert step[1].keywords == expected
    assert recipe("trimmed:budget=none").steps[0][1].keywords["budget"] is None


@pytest.mark.usefixtures("trimmed")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shrink", "a method is one of"),
        ("trimmed:size=3", "method 'trimmed' takes share, rounds, fine, norm, budget; got size; leave it out"),
        ("trimmed:share=much", "trimmed:share is a number; got 'much'; write one"),
        ("trimmed:share=nan", "trimmed:share is a number; got 'nan'; write one"),
        ("trimmed:rounds=1.5", "trimmed:rounds is a whole number; got '1.5'; write one"),
        ("trimmed:fine=yes", "trimmed:fine is true or false; got 'yes'; write one of these"),
        ("trimmed:norm=l3", "trimmed:norm is one of l1, l2; got 'l3'; take one of these"),
        ("trimmed:share", "a method is NAME[:key=value,key=value], chained with +; got 'trimmed:share'"),
        ("trimmed:share=", "a method is NAME[:key=value,key=value], chained with +; got 'trimmed:share='"),
        ("trimmed:share=1,share=2", "a parameter is given once; got 'trimmed:share=1,share=2'"),
        ("trimmed+shrink", "a method is one of"),
        ("", "a method is one of"),
    ],
)
def test_what_does_not_fit_is_one_line(text: str, said: str) -> None:
    """The rule, what came, what to do."""
    with pytest.raises(SettingError) as error:
        recipe(text)
    assert str(error.value).startswith(said)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.usefixtures("trimmed")
def test_a_chain_is_followed_in_its_order() -> None:
    """Its text, made whole, makes it again; what a step noted is beside."""
    original = mlp()
    chain = recipe("trimmed:norm=l2+trimmed:fine=true")
    made = chain.follow(Candidate(original), learnt(original))
    whole = text_of(made.steps)
    assert whole.startswith("trimmed:share=0.5,rounds=2,fine=false,norm=l2,budget=none+trimmed:share=0.5,rounds=2,fine=true")
    assert recipe(whole).follow(Candidate(original), learnt(original)) == made
    assert noted(made.steps) == {"trimmed.seconds": "3"}


@pytest.mark.usefixtures("trimmed")
def test_a_method_that_hides_its_step_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lineage would lack it."""
    monkeypatch.setattr(sys.modules[__name__], "compress", lambda candidate, learnt, *, share=0.5: Candidate(b"other"))
    with pytest.raises(HeadraceError, match="a method adds its own step; 'trimmed'"):
        recipe("trimmed").follow(Candidate(b"one"), learnt(mlp()))


def test_without_a_recipe_every_kind_of_every_method_is_tried() -> None:
    """A method with a parameter ``kind`` once for each."""
    texts = [one.text for one in default_recipes()]
    assert {"quantize:kind=static", "quantize:kind=dynamic", "quantize:kind=fp16"} <= set(texts)
    assert {text.partition(":")[0] for text in texts} == set(methods.methods())


def test_a_methods_signature_is_what_the_package_says() -> None:
    """Two arguments, and keywords with defaults and annotations."""
    for name in methods.methods():
        function = methods.bind(name, {}).func
        kinds = [(one.name, one.kind, one.default is one.empty) for one in inspect.signature(function).parameters.values()]
        assert [one[0] for one in kinds[:2]] == ["candidate", "learnt"]
        assert all(kind is inspect.Parameter.KEYWORD_ONLY and not bare for _, kind, bare in kinds[2:]), name
