"""A model's outputs: what they are, which of their numbers is the score, and what else a prediction says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from features.errors import DefinitionError, SettingError
from features.inputs.signature import Output, Signature, Tensor, Values

Numbers = npt.NDArray[Any]
KINDS: dict[str, Values] = {"f": "float", "i": "int64", "u": "int64", "b": "int64"}
"""The types of outputs, by numpy's kinds; the rest are strings."""
BINARY = 2
"""Classes."""
SUM = 1e-3
"""How far the sum of a row's probabilities may be from 1."""


def signature(session: Any, inputs: tuple[Tensor, ...], feeds: Mapping[str, Any], score: str | None = None) -> Signature:
    """The signature of a model with these ``inputs``, which gives its outputs for ``feeds``, two rows or more.

    ``score``, ``OUTPUT[:CLASS]``, says which number is the score; none: the one that it can only be. Raises `SettingError` where
    that leaves a choice, or an output is no tensor of rows nor a list of maps.
    """
    rows = len(next(iter(feeds.values())))
    names = [one.name for one in session.get_outputs()]
    given = session.run(names, feeds)
    outputs = tuple(_output(name, raw, rows) for name, raw in zip(names, given, strict=True))
    chosen = _named(outputs, score) if score else _only(outputs, given)
    if chosen is None:
        raise SettingError(
            "a model has one number that is the score: one value, or of a probability for each of two classes the second's; "
            f"got {_choices(outputs)}; say which with --score OUTPUT[:CLASS]"
        )
    return Signature(inputs, outputs, chosen, _others(outputs, chosen))


def is_classifier(of: Signature) -> bool:
    """Whether the outputs look like a classifier's: maps, a number for each of some classes, or a label beside a number."""
    floats = [output for output in of.outputs if output.type == "float"]
    return any(output.classes for output in floats) or len(floats) < len(of.outputs)


def scores(of: Signature) -> Callable[[Any], Numbers]:
    """Gives the score of each row, [n], of what the session gave for the output with the score."""
    name, place = of.score
    output = of.output(name)

    def of_maps(raw: Any) -> Numbers:
        return np.array([row[output.classes[place]] for row in raw], np.float32)

    def of_numbers(raw: Any) -> Numbers:
        column: Numbers = raw if raw.ndim == 1 else raw[:, place]
        return column if column.dtype.kind == "f" else column.astype(np.float64)

    return of_maps if output.maps else of_numbers


def others(of: Signature, raw: Sequence[Any]) -> list[dict[str, Any]]:
    """What a prediction says beside its score, for each row; ``raw`` is what the session gave for `Signature.others`.

    An output by its name: its value, or where it has classes, its values by class.
    """
    columns = [_values(of.output(name), values) for name, values in zip(of.others, raw, strict=True)]
    return [dict(zip(of.others, row, strict=True)) for row in zip(*columns, strict=True)]


def no_score(name: str, version: int) -> str:
    """What is said of a row for which a model gave no number."""
    return f"model '{name}' {version} gave no finite score"


def why(error: Exception) -> str:
    """What is said of a row that made a model, or what makes its inputs, fail."""
    return str(error) if isinstance(error, DefinitionError) else f"{type(error).__name__}: {error}"


def _output(name: str, raw: Any, rows: int) -> Output:
    if isinstance(raw, list) and len(raw) == rows and all(isinstance(row, dict) for row in raw):
        return Output(name, "float", tuple(raw[0]), maps=True)
    if not isinstance(raw, np.ndarray) or raw.ndim not in (1, 2) or len(raw) != rows:
        came = f"shape {list(raw.shape)}" if isinstance(raw, np.ndarray) else f"type {type(raw).__name__}"
        raise SettingError(
            f"a model's output has a row for each of its inputs', [n] or [n, columns], or is a list of maps; got '{name}' of "
            f"{came} for {rows} rows; convert the model with such outputs"
        )
    width = raw.shape[1] if raw.ndim == 2 else 1
    return Output(name, KINDS.get(raw.dtype.kind, "string"), tuple(range(width)) if width != 1 else ())


def _only(outputs: tuple[Output, ...], given: Sequence[Any]) -> tuple[str, int] | None:
    """The score where there is no choice."""
    floats = [output for output in outputs if output.type == "float"]
    numbers = floats or [output for output in outputs if output.type == "int64"]
    if len(numbers) != 1:
        return None
    output = numbers[0]
    if not output.classes:
        return output.name, 0
    if len(output.classes) != BINARY or not (output.maps or _are_shares(given[outputs.index(output)])):
        return None
    return output.name, 1


def _are_shares(values: Numbers) -> bool:
    sums = values.sum(axis=1)
    return bool(((np.abs(sums - 1) < SUM) | np.isnan(sums)).all())


def _named(outputs: tuple[Output, ...], score: str) -> tuple[str, int]:
    """``OUTPUT[:CLASS]``. An output's name may have a colon."""
    for output in outputs:
        if output.type == "string":
            continue
        if output.name == score and not output.classes:
            return output.name, 0
        for place, one in enumerate(output.classes):
            if f"{output.name}:{one}" == score:
                return output.name, place
    raise SettingError(f"a score is a number of the model, OUTPUT[:CLASS]; got '{score}'; it has {_choices(outputs)}; name one")


def _choices(outputs: tuple[Output, ...]) -> str:
    names = [
        f"{output.name}:{one}" if output.classes else output.name
        for output in outputs
        if output.type != "string"
        for one in output.classes or ("",)
    ]
    return ", ".join(names) or f"no number, {', '.join(output.name for output in outputs)} of strings"


def _others(outputs: tuple[Output, ...], score: tuple[str, int]) -> tuple[str, ...]:
    """What does not follow from the score: the other of two classes does, and so does the label beside one number."""
    scored = next(output for output in outputs if output.name == score[0])
    rest = [output for output in outputs if output is not scored]
    if len(scored.classes) > BINARY:
        return tuple(output.name for output in outputs)
    if len(rest) == 1 and rest[0].type != "float" and not rest[0].classes:
        return ()
    return tuple(output.name for output in rest)


def _values(output: Output, raw: Any) -> list[Any]:
    if output.maps:
        return [{str(key): value for key, value in row.items()} for row in raw]
    if not output.classes:
        flat: list[Any] = raw.reshape(-1).tolist()
        return flat
    names = [str(one) for one in output.classes]
    return [dict(zip(names, row, strict=True)) for row in raw.tolist()]
