"""The streaming learners of `bench decay`: what they have learnt from when they score."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.streaming import learnt_and_scored


class Recorder:
    """Scores how many rows it has learnt from, and keeps which."""

    def __init__(self) -> None:
        self.learnt: list[tuple[float, int]] = []

    def learn_one(self, row: dict[str, float], label: int) -> None:
        """Keep it."""
        self.learnt.append((row["0"], label))

    def predict_proba_one(self, row: dict[str, float]) -> dict[int, float]:
        """So many."""
        return {0: 0.0, 1: float(len(self.learnt))}


def scored(model: Any, known_at: list[int], wanted: list[bool]) -> list[float]:
    """Four rows at 0, 10, 20, 30 with labels 0, 1, 0, 1."""
    found = learnt_and_scored(
        model,
        x=np.arange(4, dtype=np.float32)[:, None],
        time=np.array([0, 10, 20, 30]),
        known_at=np.array(known_at),
        label=np.array([0.0, 1.0, 0.0, 1.0]),
        scored=np.array(wanted),
    )
    return list(found)


def test_a_row_is_scored_by_what_was_known_before_it() -> None:
    """A label counts from the moment at which it is known, not before; the last two never are in time."""
    assert scored(Recorder(), [10, 21, 40, 41], [True] * 4) == [0, 1, 1, 2]


def test_labels_are_learnt_in_the_order_in_which_they_are_known() -> None:
    """A later row whose label is known earlier is learnt first; each is learnt once, with its own label."""
    model = Recorder()
    scored(model, [25, 15, 22, 99], [False, False, False, True])
    assert model.learnt == [(1.0, 1), (2.0, 0), (0.0, 0)]


def test_rows_that_nobody_asks_for_have_no_score() -> None:
    """They are learnt from all the same."""
    found = scored(Recorder(), [1, 11, 21, 31], [False, False, False, True])
    assert np.isnan(found[:3]).all()
    assert found[3] == 3
