"""What a model takes and gives: its ONNX inputs as columns of the plan, its outputs, and which number is the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec

from features.errors import SettingError
from features.inputs.columns import all_features, check_inputs, columns_of, input_columns, window_types
from features.plan import Plan

Kind = Literal["float", "double", "int64", "bool", "string"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Task = Literal["classification", "regression"]
"""What a model says of an event: how likely its label is 1, or how large its label is."""
TAKES = {
    "float": "numbers and booleans",
    "double": "numbers and booleans",
    "int64": "whole numbers (long) and booleans",
    "bool": "booleans",
    "string": "strings",
}
"""The features that an input of each type takes."""
HELD: dict[Kind, frozenset[str]] = {
    "float": frozenset({"int64", "float64", "decimal", "bool"}),
    "double": frozenset({"int64", "float64", "decimal", "bool"}),
    "int64": frozenset({"int64", "bool"}),
    "bool": frozenset({"bool"}),
    "string": frozenset({"string"}),
}
"""The same, by the types of window features. What functions and batch views give is looked at value by value."""


class Tensor(msgspec.Struct, frozen=True):
    """One input of a model."""

    name: str
    """The model's own."""
    type: Kind
    columns: tuple[str, ...]
    """The plan's, ``<view>__<feature>``, a list as its columns."""
    matrix: bool
    """[n, columns]; otherwise [n]."""


Values = Literal["float", "int64", "string"]
"""The types of a model's outputs: float32 and float64 alike are floats, booleans are 0 and 1."""


class Output(msgspec.Struct, frozen=True):
    """One output of a model."""

    name: str
    type: Values
    classes: tuple[int | str, ...] = ()
    """The keys of its maps (ZipMap), or the places of its columns; none: it has one value for each row."""
    maps: bool = False
    """A list of maps, one for each row; otherwise a tensor."""


class Signature(msgspec.Struct, frozen=True):
    """What a model takes and gives."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Output, ...]
    score: tuple[str, int]
    """The output with the score, and the place among its classes, 0 where it has none."""
    others: tuple[str, ...] = ()
    """The outputs that say more than the score, in order: what a prediction has beside it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The plan's columns, in the order of the inputs."""
        return tuple(column for tensor in self.inputs for column in tensor.columns)

    def output(self, name: str) -> Output:
        """The output called ``name``."""
        return next(output for output in self.outputs if output.name == name)

    @property
    def score_text(self) -> str:
        """``probabilities:1``, as ``--score`` takes it."""
        name, place = self.score
        classes = self.output(name).classes
        return f"{name}:{classes[place]}" if classes else name


def tensors(session: Any, plan: Plan, inputs: Sequence[str] | None = None) -> tuple[Tensor, ...]:
    """The inputs of a model, an ONNX Runtime session, as columns of ``plan``.

    A model has one matrix of float or double, whose columns are ``inputs`` or else the plan's, in their order; or inputs that are
    named as features, or stand for ``inputs`` one by one. Raises `SettingError` for an input that fits no feature, and
    `DefinitionError` for a feature that the plan does not have.
    """
    found = session.get_inputs()
    _check_tensors(found)
    check_inputs(plan, input_columns(plan, inputs or ()))
    features = _features(plan)
    if len(found) == 1 and found[0].name not in features:
        columns = input_columns(plan, plan.inputs if inputs is None else inputs)
        made: tuple[Tensor, ...] = (_matrix(found[0], columns),)
    else:
        names = [one.name for one in found] if inputs is None else list(inputs)
        made = tuple(_named(one, name, features) for one, name in zip(found, _as_many(names, found), strict=True))
    columns = tuple(column for tensor in made for column in tensor.columns)
    twice = {column for column in columns if columns.count(column) > 1}
    if twice:
        raise SettingError(f"a model takes a feature once; got '{min(twice)}' twice; convert the model with one input for it")
    check_inputs(plan, columns)
    types = _column_types(plan)
    for tensor in made:
        _check_types(tensor, types)
    return made


def _check_tensors(found: Sequence[Any]) -> None:
    if not found:
        raise SettingError("a model takes inputs; got one that has none; convert the model with its inputs")
    for one in found:
        kind = one.type.removeprefix("tensor(").removesuffix(")")
        if kind not in KINDS:
            raise SettingError(
                f"a model's inputs are tensors of {', '.join(KINDS)}; got '{one.name}' of {one.type}; cast it within the model"
            )
        if len(one.shape) not in (1, 2):
            raise SettingError(
                f"a model's input is [n, columns] or [n]; got '{one.name}' of shape {_shape(one)}; convert the model with that"
            )
        if isinstance(one.shape[0], int):
            raise SettingError(
                f"a model scores as many rows as there are; got '{one.name}' of shape {_shape(one)}, which takes "
                f"{one.shape[0]}; convert the model with a free first dimension ('None')"
            )


def _features(plan: Plan) -> dict[str, tuple[str, ...]]:
    """For each name that an input may have, a feature's or a list's column: the columns."""
    lists = columns_of(plan)
    return {name: lists.get(name, (name,)) for name in (*all_features(plan), *(c for columns in lists.values() for c in columns))}


def _matrix(one: Any, columns: tuple[str, ...]) -> Tensor:
    kind = _kind(one)
    if kind not in ("float", "double"):
        raise SettingError(
            f"a model of one input takes a float or double matrix, or names the input as a feature; got '{one.name}' of "
            f"{one.type}; convert the model with a name like '{columns[0]}'"
        )
    _check_width(one, columns, f"the {len(columns)} inputs of the model, lists unfolded ('headrace plan' prints them)")
    return Tensor(one.name, kind, columns, matrix=len(one.shape) == 2)


def _named(one: Any, name: str, features: dict[str, tuple[str, ...]]) -> Tensor:
    if name not in features:
        raise SettingError(
            f"a model of several inputs names each as a feature of the plan (several matrices are not taken); got "
            f"'{name}' of shape {_shape(one)}; the features are {', '.join(features)}; convert the model with these names, or "
            "give --inputs with a feature for each of its inputs"
        )
    _check_width(one, features[name], f"feature '{name}'")
    return Tensor(one.name, _kind(one), features[name], matrix=len(one.shape) == 2)


def _as_many(names: list[str], found: Sequence[Any]) -> list[str]:
    if len(names) != len(found):
        raise SettingError(
            f"--inputs has a feature for each input of the model; got {len(names)} for {', '.join(one.name for one in found)}; "
            "give them in this order"
        )
    return names


def _check_width(one: Any, columns: tuple[str, ...], what: str) -> None:
    width = one.shape[1] if len(one.shape) == 2 else 1
    if isinstance(width, int) and width != len(columns):
        raise SettingError(
            f"an input of a model has a column for each number of {what}; got '{one.name}' of shape {_shape(one)} for "
            f"[n, {len(columns)}]; give its features in order with --inputs, or convert the model with that shape"
        )


def _column_types(plan: Plan) -> dict[str, str]:
    """The type of each column that is of a window, by name; those of functions and batch views are not in the plan."""
    lists = columns_of(plan)
    return {column: kind.kind for name, kind in window_types(plan).items() for column in lists.get(name, (name,))} | {
        f"{view.view}__{output}": "number" for view in plan.on_demand for output in view.outputs
    }


def _check_types(tensor: Tensor, types: dict[str, str]) -> None:
    for column in tensor.columns:
        kind = types.get(column)
        if kind is None or kind in HELD[tensor.type] or (kind == "number" and tensor.type != "string"):
            continue
        advice = "make a number of it on demand" if kind == "string" else f"convert the model with an input of {_fitting(kind)}"
        raise SettingError(
            f"a model's input of type {tensor.type} takes {TAKES[tensor.type]}; got '{tensor.name}' for "
            f"'{column}' of type {kind}; {advice}"
        )


def _fitting(kind: str) -> str:
    return " or ".join(one for one in KINDS if kind in HELD[one] or (kind == "number" and one in ("float", "double")))


def _kind(one: Any) -> Kind:
    kind: Kind = one.type.removeprefix("tensor(").removesuffix(")")
    return kind


def _shape(one: Any) -> str:
    """``[n, 5]``: a free dimension by a letter.

    >>> from types import SimpleNamespace
    >>> _shape(SimpleNamespace(shape=[None, 5])), _shape(SimpleNamespace(shape=["batch", None]))
    ('[n, 5]', '[batch, k]')
    """
    letters = ["n", "k", *"abcdefgh"]
    names = [str(size) if size is not None else letters[place % len(letters)] for place, size in enumerate(one.shape)]
    return f"[{', '.join(names)}]"
