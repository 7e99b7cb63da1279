"""Fixed bins of one model input, and how many of its values fall into each: what drift is measured by.

The bins are made once, of the rows that a model was trained on. From then on a value has one cell, whatever else is counted
with it, so counters are vectors of integers that add over time, partitions and processes, in any order.

::

    a number   null │ zero │ below │ bin 0 │ bin 1 │ …  │ above
                             < low   low        edges     > high
    a text     null │ new  │ category 0 │ category 1 │ …

A text counts by its first `LONGEST` characters, so that neither a receipt nor an alarm is as long as an event may be.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from features.inputs.matrix import Floats, matrix

OTHERS = "(others)"
"""The segment of all cells that are none of their own."""
Counts = npt.NDArray[np.int64]
"""How many values each cell has, [cells]."""
QUANTILES = 10
"""Bins of a number that have about equally many of the trained values."""
CATEGORIES = 50
"""Of a text the most frequent values; all others are new."""
LONGEST = 100
"""Characters of a text that count."""
NULL, ZERO, BELOW, NEW = 0, 1, 2, 1
"""Places of cells: of both kinds, of numbers, of numbers, of texts."""
OF_NUMBER, OF_TEXT = 3, 2
"""Cells before the first bin, and before the first category."""


class Bins(msgspec.Struct, frozen=True):
    """The cells of one input."""

    name: str
    """``<view>__<feature>``, or `features.inputs.reference.SCORE`."""
    kind: Literal["number", "text"]
    edges: tuple[float, ...] = ()
    """Of a number, ascending: bin i holds what is above edge i - 1 and at most edge i. Float32s, as a model's inputs are."""
    low: float | None = None
    high: float | None = None
    """The least and the largest number of training that is not 0; none where there was no such number."""
    categories: tuple[str, ...] = ()
    """Of a text, those of training, the most frequent first."""

    @property
    def size(self) -> int:
        """How many cells there are."""
        return OF_NUMBER + len(self.edges) + 2 if self.kind == "number" else OF_TEXT + len(self.categories)

    @property
    def labels(self) -> tuple[str, ...]:
        """What each cell holds, for a person.

        >>> Bins("n", "number", (2.0,), 1.0, 5.0).labels
        ('null', '0', '< 1', '1 to 2', '2 to 5', '> 5')
        >>> Bins("n", "number", (12345.0,), 12344.0, 12346.0).labels
        ('null', '0', '< 12344', '12344 to 12345', '12345 to 12346', '> 12346')
        >>> Bins("n", "number", (1.0,), 1.0, 2.0).labels
        ('null', '0', '< 1', '1', '1 to 2', '> 2')
        >>> Bins("t", "text", categories=("a", "null")).labels
        ('null', 'new', 'a', '"null"')
        """
        if self.kind == "text":
            return ("null", "new", *map(_label, self.categories))
        if self.low is None or self.high is None:
            return ("null", "0", "< 0", "none", "> 0")
        marks = _texts((self.low, *self.edges, self.high))
        inner = (one if one == other else f"{one} to {other}" for one, other in pairwise(marks))
        return ("null", "0", f"< {marks[0]}", *inner, f"> {marks[-1]}")

    def cells(self, values: Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """The cell of each value, [n] → [n]. None and NaN are null; a number counts as the float32 that a model gets.

        >>> Bins("n", "number", (2.0,), 1.0, 5.0).cells([None, 0, 0.5, 1, 2, 2.5, 5, 9]).tolist()
        [0, 1, 2, 3, 3, 4, 4, 5]
        """
        if self.kind == "text":
            places = {text: place for place, text in enumerate(self.categories, OF_TEXT)}
            of = (NULL if one is None else places.get(shortened(str(one)), NEW) for one in values)
            return np.fromiter(of, np.intp, len(values))
        x: Floats = matrix(values)
        cells = OF_NUMBER + np.searchsorted(np.array(self.edges, np.float32), x, side="left")
        low, high = (0.0, 0.0) if self.low is None or self.high is None else (self.low, self.high)
        cells[x < low] = BELOW
        cells[x > high] = self.size - 1
        cells[x == 0] = ZERO
        cells[np.isnan(x)] = NULL
        return cells

    def count(self, values: Sequence[Any] | npt.NDArray[Any]) -> Counts:
        """How many values each cell has; of two parts of a stream, the sum of these is that of the whole."""
        return np.bincount(self.cells(values), minlength=self.size).astype(np.int64)

    def shares(self, counts: Sequence[int] | Counts) -> Shares:
        """What counters say of nulls, and of what training did not have."""
        total = max(1, int(np.sum(counts)))
        if self.kind == "text":
            return Shares(counts[NULL] / total, 0.0, 0.0, counts[NEW] / total)
        return Shares(counts[NULL] / total, counts[ZERO] / total, (counts[BELOW] + counts[-1]) / total, 0.0)


class Shares(msgspec.Struct, frozen=True):
    """Shares of all values, between 0 and 1."""

    null: float
    zero: float
    out_of_range: float
    """Below the least or above the largest number of training."""
    new: float
    """Texts that training did not have, or too seldom."""


def _label(text: str) -> str:
    """A category on one line, told apart from the cells that are none, and from other categories."""
    is_plain = text.isprintable() and text == text.strip() and text not in ("", "null", "new", OTHERS) and text[0] != '"'
    return text if is_plain else json.dumps(text)


def _texts(marks: Sequence[float]) -> list[str]:
    """Numbers with as many digits, 4 at least, as tell them apart, since a segment is known by its label; 9 do any float32s."""
    digits = next((n for n in range(4, 9) if len({f"{one:.{n}g}" for one in marks}) == len(set(marks))), 9)
    return [f"{one:.{digits}g}" for one in marks]


def shortened(value: Any) -> Any:
    """A value as it counts: of a text the first `LONGEST` characters."""
    return value[:LONGEST] if isinstance(value, str) else value


def number_bins(name: str, values: Sequence[Any] | npt.NDArray[Any]) -> Bins:
    """Bins of trained numbers: `QUANTILES` of those that are neither null nor 0, fewer where many are equal.

    >>> number_bins("n", [0, 0, None, 1, 2, 3]).edges
    (1.0, 2.0)
    """
    x: Floats = matrix(values)
    known = np.sort(x[np.isfinite(x) & (x != 0)])
    if not len(known):
        return Bins(name, "number")
    edges = np.quantile(known, np.arange(1, QUANTILES) / QUANTILES, method="inverted_cdf")
    inner = np.unique(edges[edges < known[-1]])
    return Bins(name, "number", tuple(map(float, inner)), float(known[0]), float(known[-1]))


def text_bins(name: str, values: Sequence[Any]) -> Bins:
    """Bins of the texts that a model is trained on: the `CATEGORIES` most frequent, those of equal number by their alphabet."""
    found = Counter(shortened(str(value)) for value in values if value is not None)
    known = sorted(found, key=lambda text: (-found[text], text))[:CATEGORIES]
    return Bins(name, "text", categories=tuple(known))
