"""The golden batch: rows that travel with a version, with the predictions that it gave when it was added.

They are given, so that they are rows as the model will see them, or made. Whoever loads the version has it predict again: another
ONNX Runtime, or another CPU, that predicts otherwise does not put it in service.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort

from features.errors import DefinitionError, SettingError
from features.inputs.onnx import Onnx
from features.inputs.signature import Kind, Tensor
from schemas.features import Value
from serving.models.manifest import Golden

ROWS = 256
SIZES = (1, 7, ROWS)
"""Of the batches in which a model is tried: dense ones differ in the last bits."""
TOLERANCE = 1e-5
"""How far a prediction may be from the first, in relation to it."""
SMALLEST = 2.0**-22
"""The same for predictions near 0, in relation to the largest, or to 1 where that is less: twice the step of a float32 at 1. That
much is a sum in another order off; a small probability as much as one near 1, as a sigmoid's is made of numbers around 1."""
COMPARED, CONVERTED = 2000, 1e-4
"""Rows that are compared with the library's own scores, and how far apart these may be: absolute, above 1 in relation."""
SEED = 20_240_501

Row = Sequence[Value]


class Batch(msgspec.Struct, frozen=True):
    """What is kept, as JSON: rows in the order of the manifest's inputs, and what the model gave for them."""

    rows: list[list[Value]]
    scores: list[float]
    outputs: list[dict[str, Any]] | None


def made_rows(tensors: Sequence[Tensor]) -> list[list[Value]]:
    """Rows by the types of the inputs, without nulls; the same whenever they are made. Small: an exponential stays finite."""
    generator = random.Random(SEED)  # noqa: S311 - nothing secret
    return [[_value(generator, tensor.type) for tensor in tensors for _ in tensor.columns] for _ in range(ROWS)]


def given_rows(onnx: Onnx, rows: Sequence[Row]) -> list[list[Value]]:
    """`ROWS` of ``rows``, from all over them, that can be kept: finite, and with nulls only where the model has a score for them.

    Raises `SettingError` where a whole number is more than a float32 input holds.
    """
    kept = [_plain(rows[place]) for place in _spread(len(rows), ROWS)]
    for row in kept:
        _check_held(onnx.signature.inputs, row)
    return [row for row in kept if _is_finite(row) and (None not in row or math.isfinite(_score(onnx, row)))]


def check_scores(onnx: Onnx, rows: Sequence[Row], expected: Sequence[float | None]) -> None:
    """Raises `SettingError` where the model does not give the scores that its own library gave: the conversion has a fault."""
    for place in _spread(len(rows), COMPARED):
        wanted = expected[place]
        if wanted is None or not math.isfinite(wanted):
            continue
        row = _plain(rows[place])
        found = _score(onnx, row)
        if not abs(found - wanted) <= CONVERTED * max(1, abs(wanted)):
            told = dict(zip(onnx.signature.columns, row, strict=True))
            raise SettingError(
                f"a model's ONNX gives the scores of the library that made it, within {CONVERTED}; got {found:g} for {wanted:g} "
                f"in row {place}, {told}; convert it so that it does: where the row has nulls, with an imputer before the model"
            )


def make(onnx: Onnx, rows: list[list[Value]]) -> tuple[bytes, Golden]:
    """The batch of ``rows`` to keep, and what the manifest says of it.

    Raises `SettingError` where the model gives no finite numbers for it.
    """
    found = onnx.score(rows)
    for row, score, outputs in zip(rows, found.scores, found.outputs or [{}] * len(rows), strict=True):
        for name, number in ((onnx.signature.score_text, score), *_numbers(outputs)):
            if not math.isfinite(number):
                told = dict(zip(onnx.signature.columns, row, strict=True))
                raise SettingError(
                    f"a model gives finite numbers for its golden batch; got {name} = {number} for {told}; "
                    "fix the model, or give rows as it knows them (--golden)"
                )
    by_size = np.array([_in_batches(onnx, rows, size) for size in SIZES])
    content = msgspec.json.encode(Batch(rows, found.scores, found.outputs))
    spread = float((by_size.max(axis=0) - by_size.min(axis=0)).max())
    return content, Golden(hashlib.sha256(content).hexdigest(), len(rows), spread)


def read(content: bytes) -> Batch:
    """The batch that was kept."""
    return msgspec.json.decode(content, type=Batch)


def replay(onnx: Onnx, batch: Batch, made_by: str) -> None:
    """Have the model predict again. Raises `SettingError` where it predicts otherwise than by ONNX Runtime ``made_by`` then."""
    try:
        found = onnx.score(batch.rows)
        onnx.score(batch.rows[:1])  # of the size that is usual, so that it is warm
    except Exception as error:  # ONNX Runtime's errors have no common type
        raise SettingError(_differs(f"got {type(error).__name__}: {error}", made_by)) from None
    least = SMALLEST * max(1.0, *map(abs, batch.scores))
    for row, (before, now) in enumerate(zip(batch.scores, found.scores, strict=True)):
        if not math.isclose(before, now, rel_tol=TOLERANCE, abs_tol=least):
            raise SettingError(_differs(f"got score {now} for {before} in row {row}", made_by))
    for row, (first, again) in enumerate(zip(batch.outputs or (), found.outputs or (), strict=True)):
        if not _are_close(first, again):
            raise SettingError(_differs(f"got {again} for {first} in row {row}", made_by))


def replay_in_batches(onnx: Onnx, batch: Batch, sizes: Sequence[int], golden: Golden, made_by: str) -> None:
    """The same of its rows in batches of these sizes, over and over where they are more: a session may compute otherwise there.

    A row's scores may be as far apart as they were between batches when it was added, too.
    """
    least = max(golden.spread, SMALLEST * max(1.0, *map(abs, batch.scores)))
    for size in sizes:
        places = [place % len(batch.rows) for place in range(max(size, len(batch.rows)))]
        found = _in_batches(onnx, [batch.rows[place] for place in places], size)
        for row, now in zip(places, found, strict=True):
            if not math.isclose(batch.scores[row], now, rel_tol=TOLERANCE, abs_tol=least):
                came = f"got score {now} for {batch.scores[row]} in row {row}, in a batch of {size}"
                raise SettingError(_differs(came, made_by))


def _differs(came: str, made_by: str) -> str:
    return (
        f"a model predicts its golden batch everywhere as it did where it was added; {came} (ONNX Runtime {made_by} there, "
        f"{ort.__version__} here); install that version, or add the model again from here"
    )


def _value(generator: random.Random, kind: Kind) -> Value:
    if kind == "string":
        return generator.choice("abcdefgh")
    if kind == "bool":
        return generator.random() < 0.5
    whole = generator.randrange(10)
    return whole if kind == "int64" or generator.random() < 0.3 else round(generator.gauss(0, 2), 3)


def _plain(row: Row) -> list[Value]:
    """A row as JSON holds it: NaN is a null."""
    return [None if isinstance(value, float) and math.isnan(value) else value for value in row]


def _is_finite(row: Row) -> bool:
    return not any(isinstance(value, float) and math.isinf(value) for value in row)


def _score(onnx: Onnx, row: Row) -> float:
    """NaN where an input does not hold a value."""
    try:
        return onnx.score([row]).scores[0]
    except DefinitionError:
        return math.nan


def _spread(count: int, most: int) -> list[int]:
    """At most so many of ``count`` places, from all over them.

    >>> _spread(3, 4), _spread(8, 4)
    ([0, 1, 2], [0, 2, 4, 6])
    """
    return [place * count // min(count, most) for place in range(min(count, most))]


def _check_held(tensors: Sequence[Tensor], row: Row) -> None:
    columns = [(tensor, column) for tensor in tensors for column in tensor.columns]
    for (tensor, column), value in zip(columns, row, strict=True):
        if tensor.type == "float" and type(value) is int and not _is_float32(value):
            raise SettingError(
                f"a float input holds whole numbers up to 2^24, and few beyond; got {value} in '{column}'; convert the model "
                f"with a double input '{tensor.name}' (or an int64 one, named as its feature), or leave the feature out"
            )


def _is_float32(value: int) -> bool:
    with np.errstate(over="ignore"):
        near = float(np.float32(float(value))) if abs(value) < 2**1000 else math.inf
    return math.isfinite(near) and int(near) == value


def _in_batches(onnx: Onnx, rows: list[list[Value]], size: int) -> list[float]:
    return [score for first in range(0, len(rows), size) for score in onnx.score(rows[first : first + size]).scores]


def _numbers(outputs: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in outputs.items():
        if isinstance(value, dict):
            yield from ((f"{name}:{key}", number) for key, number in _numbers(value))
        elif isinstance(value, float):
            yield name, value


def _are_close(before: Any, now: Any) -> bool:
    if isinstance(before, dict):
        return before.keys() == now.keys() and all(_are_close(value, now[key]) for key, value in before.items())
    if isinstance(before, float):
        return math.isclose(before, now, rel_tol=TOLERANCE, abs_tol=SMALLEST)
    return bool(before == now)
