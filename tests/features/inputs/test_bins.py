"""Bins and counters: one cell for each value, and sums that do not depend on how a stream was cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.inputs.bins import CATEGORIES, NULL, ZERO, Bins, number_bins, text_bins
from features.inputs.matrix import matrix

NUMBERS = st.lists(st.one_of(st.none(), st.integers(-5, 5), st.floats(width=64)), max_size=60)
TEXTS = st.lists(st.one_of(st.none(), st.sampled_from("abcdef")), max_size=60)


@given(NUMBERS, NUMBERS, st.randoms(use_true_random=False), st.integers(1, 7))
def test_counters_of_parts_add_up_to_those_of_the_whole(trained: Any, values: Any, random: Any, parts: int) -> None:
    """Any order of the rows and any split of them, by time, partition or process, gives the same counters."""
    bins = number_bins("n", trained)
    whole = bins.count(values)
    random.shuffle(values)
    marks = sorted(random.randint(0, len(values)) for _ in range(parts - 1))
    cut = [values[one:other] for one, other in zip([0, *marks], [*marks, len(values)], strict=True)]
    assert sum((bins.count(part) for part in cut), np.zeros(bins.size, np.int64)).tolist() == whole.tolist()
    assert whole.sum() == len(values)
    assert whole.dtype == np.int64
    assert len(bins.labels) == len(set(bins.labels)) == bins.size


def test_cells_that_are_near_have_labels_of_their_own() -> None:
    """A segment is known by its label: numbers are told apart by the fifth digit, where it takes that."""
    bins = number_bins("n", np.arange(123450, 123500))
    assert bins.labels[3:5] == ("123450 to 123454", "123454 to 123459")
    assert len(set(bins.labels)) == bins.size
    assert number_bins("n", [1.0, 2.0]).labels[3:] == ("1", "1 to 2", "> 2")


@given(TEXTS, TEXTS, st.integers(0, 60))
def test_counters_of_texts_add_up_too(trained: Any, values: Any, mark: int) -> None:
    """Of texts as of numbers."""
    bins = text_bins("t", trained)
    assert (bins.count(values[:mark]) + bins.count(values[mark:])).tolist() == bins.count(values).tolist()
    assert len(bins.labels) == bins.size


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_a_trained_value_is_within_range(values: list[float]) -> None:
    """Whether it comes as training's float32 or as the double of a receipt, its cell is the same, and not out of range."""
    bins = number_bins("n", values)
    assert bins.cells(values).tolist() == bins.cells(matrix(values)).tolist()
    assert bins.shares(bins.count(values)).out_of_range == 0


def test_each_kind_of_value_has_its_cell() -> None:
    """Nulls, zeros, and both ends; a zero is a zero though it lies beyond the range."""
    bins = number_bins("n", [1.0, 2.0, 3.0, 4.0])
    cells = bins.cells([None, math.nan, 0, -0.0, False, 0.5, 1, 4, 5, math.inf, -math.inf])
    above = bins.size - 1
    assert cells.tolist() == [NULL, NULL, ZERO, ZERO, ZERO, 2, 3, above - 1, above, above, 2]
    shares = bins.shares(bins.count([None, 0, 5, 1]))
    assert (shares.null, shares.zero, shares.out_of_range, shares.new) == (0.25, 0.25, 0.25, 0)


def test_quantile_bins_have_equally_many() -> None:
    """Ten bins of distinct numbers; of a number that is always the same there is one."""
    bins = number_bins("n", np.arange(1, 1001))
    assert set(bins.count(np.arange(1, 1001))[3:-1].tolist()) == {100}
    assert number_bins("n", [7, 7, 7]).edges == ()
    assert number_bins("n", [None, 0]) == Bins("n", "number")


def test_a_text_of_training_is_known_and_others_are_new() -> None:
    """The most frequent ones are kept."""
    many = [str(one) for one in range(CATEGORIES + 5)] + ["often", "often"]
    bins = text_bins("t", many)
    assert (len(bins.categories), bins.categories[0]) == (CATEGORIES, "often")
    assert text_bins("t", ["a", None, "b"]).shares(text_bins("t", ["a", None, "b"]).count(["a", "z", None, "z"])).new == 0.5
