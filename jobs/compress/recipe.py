"""Which methods, with which parameters, one after the other: ``distill:student=mlp+prune:share=0.5+quantize``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from features.errors import HeadraceError, SettingError
from jobs.compress.candidate import Candidate, Learnt, Method
from jobs.compress.methods import bind, kinds, methods, parameters

CHAINED = re.compile(r"\+(?=[A-Za-z_])")
"""Between two methods; the plus of 1e+3 is none."""
Steps = Sequence[tuple[str, Mapping[str, str]]]


class Recipe(msgspec.Struct, frozen=True):
    """What makes one candidate."""

    text: str
    """As it was written."""
    steps: tuple[tuple[str, Method], ...]

    def follow(self, original: Candidate, learnt: Learnt) -> Candidate:
        """The candidate that it makes of ``original``. Raises `RefusedError`."""
        made = original
        for name, method in self.steps:
            before, made = made, method(made, learnt)
            if [step for step, _ in made.steps] != [*(step for step, _ in before.steps), name]:
                raise HeadraceError(f"a method adds its own step; '{name}' made {text_of(made.steps)}; report it")
        return made


def recipe(text: str) -> Recipe:
    """``METHOD[:key=value,key=value][+METHOD…]``. Raises `SettingError` where it is none, as `bind` does."""
    return Recipe(text, tuple(_step(part) for part in CHAINED.split(text)))


def default_recipes() -> tuple[Recipe, ...]:
    """Every method with its defaults, one that is of several kinds once for each."""
    texts = [f"{name}:kind={kind}" if kind else name for name in methods() for kind in kinds(name) or ("",)]
    return tuple(map(recipe, texts))


def text_of(steps: Steps) -> str:
    """The recipe, whole, that repeats these steps; empty without any: the original. What a step noted beside is left out."""
    written = []
    for name, values in steps:
        known = [f"{key}={value}" for key, value in values.items() if key in parameters(name)]
        written.append(f"{name}:{','.join(known)}" if known else name)
    return "+".join(written)


def noted(steps: Steps) -> dict[str, str]:
    """What the steps noted beside their parameters, as ``METHOD.KEY``; of a method that was taken twice, the last says it."""
    return {f"{name}.{key}": value for name, values in steps for key, value in values.items() if key not in parameters(name)}


def _step(part: str) -> tuple[str, Method]:
    name, _, rest = part.strip().partition(":")
    pairs = [pair.partition("=") for pair in rest.split(",")] if rest else []
    for key, equals, value in pairs:
        if not (key.strip() and equals and value.strip()):
            raise SettingError(
                f"a method is NAME[:key=value,key=value], chained with +; got '{part}'; write quantize:kind=static, say"
            )
    given = {key.strip(): value.strip() for key, _, value in pairs}
    if len(given) < len(pairs):
        raise SettingError(f"a parameter is given once; got '{part}'; leave one of them out")
    return name, bind(name, given)
