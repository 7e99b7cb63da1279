"""A model at work: the ONE code that scores feature vectors, a few of them in a scorer or millions of history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from features.inputs.arrow import BATCH, table_feeds
from features.inputs.feeds import Feed, feeds
from features.inputs.outputs import Numbers, others, scores, why
from features.inputs.signature import Output, Signature
from features.plan import Plan

PROTOCOL_TYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
"""ONNX's types, as the Open Inference Protocol calls them."""


class Scored(NamedTuple):
    """What a model gives for some input vectors, in their order."""

    scores: list[float]
    """Not finite where the model gave no number."""
    outputs: list[dict[str, Any]] | None = None
    """Its other outputs, by name; None where there is no more than the score."""


class ScoredTable(NamedTuple):
    """What a model gives for the rows of a table, in their order."""

    scores: pa.Array
    """Null where there is none."""
    unscorable: pa.Array
    """Why there is no score; null where there is one."""
    outputs: pa.Array | None = None
    """A struct of the other outputs; None where there is no more than the score."""


Run = Callable[[list[str], Mapping[str, Feed]], list[Any]]
"""Gives the outputs of these names for what the model is fed."""
_Part = tuple[Numbers, list[str | None], list[dict[str, Any] | None]]
"""Of some rows: scores, what is said of those without one, and other outputs."""


class Onnx:
    """An ONNX Runtime session, with what it takes and gives; ``running`` runs it otherwise than by its own ``run``."""

    def __init__(self, session: Any, signature: Signature, running: Run | None = None) -> None:
        self.signature = signature
        self._run_session = running or session.run
        self._session = session
        self._wanted = list(dict.fromkeys((signature.score[0], *signature.others)))
        self._scores = scores(signature)
        self._places = [self._wanted.index(name) for name in signature.others]

    def score(self, rows: Sequence[Sequence[Any]]) -> Scored:
        """The scores of vectors in the order of the signature's columns. None is a null.

        Raises `DefinitionError` for a value that an input does not hold, and what ONNX Runtime raises.
        """
        return self.run(feeds(self.signature.inputs, rows))

    def run(self, fed: Mapping[str, Feed]) -> Scored:
        """The scores of what the model is fed."""
        found, outputs = self._run(fed)
        return Scored(found.tolist(), outputs)

    @property
    def outputs(self) -> dict[str, tuple[str, list[int]]]:
        """All that the model gives, by name: its type in the Open Inference Protocol, and its shape, -1 for any size."""
        found = {}
        for one in self._session.get_outputs():
            classes = self.signature.output(one.name).classes
            if self.signature.output(one.name).maps:
                found[one.name] = "FP32", [-1, len(classes)]
                continue
            shape = [-1, *(size if isinstance(size, int) else len(classes) or -1 for size in (one.shape or [])[1:])]
            found[one.name] = PROTOCOL_TYPES[one.type.removeprefix("tensor(").removesuffix(")")], shape
        return found

    def tensors(self, fed: Mapping[str, Feed], names: Sequence[str]) -> list[Feed]:
        """These outputs for what the model is fed; a list of maps is a matrix with a column for each class."""
        found = []
        for name, raw in zip(names, self._run_session(list(names), dict(fed)), strict=True):
            output = self.signature.output(name)
            found.append(np.array([[row[key] for key in output.classes] for row in raw], np.float32) if output.maps else raw)
        return found

    def score_table(self, table: pa.Table, plan: Plan, no_score: str) -> ScoredTable:
        """The scores of a table's rows, as `score` gives them; ``no_score`` is said where the model gave no finite number.

        A row that makes the model fail has no score, and so has one with a value that an input does not hold.
        """
        parts = [self._score_part(table.slice(first, BATCH), plan) for first in range(0, table.num_rows, BATCH)]
        found = np.concatenate([np.empty(0, np.float32), *(part[0] for part in parts)])
        finite = np.isfinite(found)
        reasons = [reason for part in parts for reason in part[1]]
        told = [None if good else reason or no_score for good, reason in zip(finite.tolist(), reasons, strict=True)]
        outputs = None
        if self.signature.others:
            rows = [row for part in parts for row in part[2]]
            outputs = pa.array(rows, pa.struct([(name, _type(self.signature.output(name))) for name in self.signature.others]))
        return ScoredTable(pa.array(found, mask=~finite), pa.array(told, pa.string()), outputs)

    def _run(self, fed: Mapping[str, Feed]) -> tuple[Numbers, list[dict[str, Any]] | None]:
        raw = self._run_session(self._wanted, fed)
        return self._scores(raw[0]), others(self.signature, [raw[n] for n in self._places]) if self._places else None

    def _score_part(self, part: pa.Table, plan: Plan) -> _Part:
        """Scores, reasons and outputs of rows that are in memory at once."""
        fed, unheld = table_feeds(part, plan, self.signature.inputs)
        if not unheld:
            return self._attempt(fed, part.num_rows)
        held = np.array([row not in unheld for row in range(part.num_rows)])
        tried = self._attempt({name: values[held] for name, values in fed.items()}, int(held.sum()))
        found = np.full(part.num_rows, np.nan, tried[0].dtype)
        found[held] = tried[0]
        reasons, outputs = iter(tried[1]), iter(tried[2])
        return (
            found,
            [next(reasons) if good else unheld[row] for row, good in enumerate(held)],
            [next(outputs) if good else None for good in held],
        )

    def _attempt(self, fed: Mapping[str, Feed], rows: int) -> _Part:
        """As the scorer does: where a row makes them all fail, the halves are tried apart, down to that row."""
        if not rows:
            return np.empty(0, np.float32), [], []
        try:
            found, outputs = self._run(fed)
        except Exception as error:  # ONNX Runtime's errors have no common type
            if rows == 1:
                return np.full(1, np.nan, np.float32), [why(error)], [None]
        else:
            return found, [None] * rows, [None] * rows if outputs is None else [*outputs]
        middle = rows // 2
        first = self._attempt({name: values[:middle] for name, values in fed.items()}, middle)
        second = self._attempt({name: values[middle:] for name, values in fed.items()}, rows - middle)
        return np.concatenate([first[0], second[0]]), [*first[1], *second[1]], [*first[2], *second[2]]


def _type(output: Output) -> pa.DataType:
    one = {"float": pa.float64(), "int64": pa.int64(), "string": pa.string()}[output.type]
    return pa.struct([(str(name), one) for name in output.classes]) if output.classes else one
