"""The front, and the recommendation: by a stated rule, and the original where it is best."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jobs.compress.candidate import Candidate
from jobs.compress.choose import Measured, Rule, front, recommend
from jobs.training.bootstrap import Interval

pytestmark = pytest.mark.slow

RULE = Rule("average_precision", 0.01, 1)
ORIGINAL = Measured("original", "", Candidate(b""), 1000, 1, {1: 1.0}, {"average_precision": 0.5, "mae": 5.0}, 0.0)


def candidate(name: str, **changed: Any) -> Measured:
    """The original's equal but for these; ``difference`` is of the metric, within 0.001 either way."""
    difference = changed.pop("difference", 0.0)
    between = Interval(difference, difference - 0.001, difference + 0.001, 40)
    metrics = {metric: value + difference for metric, value in ORIGINAL.metrics.items()}
    intervals = dict.fromkeys(metrics, between)
    return msgspec.structs.replace(ORIGINAL, name=name, metrics=metrics, intervals=intervals, **changed)


def test_the_smallest_that_holds_the_metric_is_taken() -> None:
    """Of two, by size and time together; a third is smaller yet, and may lose too much."""
    made = [
        candidate("a", size=400),
        candidate("b", size=400, milliseconds={1: 0.5}, difference=0.001),
        candidate("c", size=10, difference=-0.0045),
    ]
    found = recommend(ORIGINAL, made, RULE)
    assert found.chosen == 1
    assert found.sentence == (
        "take b: 2.5 × smaller and 2.0 × faster at batch 1, and its average precision differs by +0.0000 to +0.0020, "
        "where 0.0050 may be lost"
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"size": 300, "difference": -0.0045}, "keep the original: a may lose 0.0055 of average precision, more than 0.0050"),
        ({"size": 300, "milliseconds": {1: 1.4}}, "keep the original: a is 1.4 × slower at batch 1"),
        ({"size": 2000, "milliseconds": {1: 0.5}}, "keep the original: a is 2.0 × larger"),
        ({"size": 950}, "keep the original: a is neither 1.1 × smaller nor 1.1 × faster at batch 1"),
        ({"size": 300, "spread": 0.02}, "keep the original: a gives a row scores that depend on its batch, by up to 0.02"),
        ({"size": 300, "difference": float("nan")}, "keep the original: a has no interval of its average precision"),
    ],
)
def test_the_original_is_kept_where_that_is_honest(changed: dict[str, Any], said: str) -> None:
    """And the sentence says why each candidate is not taken."""
    found = recommend(ORIGINAL, [candidate("a", **changed)], RULE)
    assert found.chosen is None
    assert found.sentence.startswith(said)


def test_what_a_busy_machine_makes_of_a_time_is_no_gain() -> None:
    """The original, measured twice, was 1.3 times slower than itself: 1.2 times faster is nothing, and so is 1.2 times slower."""
    busy = Rule("average_precision", 0.01, 1, noise=1.3)
    faster, slower = candidate("a", milliseconds={1: 1 / 1.2}), candidate("b", size=300, milliseconds={1: 1.2})
    assert recommend(ORIGINAL, [faster], RULE).chosen == 0
    assert "nor 1.3 × faster at batch 1" in recommend(ORIGINAL, [faster], busy).sentence
    assert recommend(ORIGINAL, [slower], RULE).chosen is None
    assert recommend(ORIGINAL, [slower], busy).chosen == 0
    only_slower = candidate("c", milliseconds={1: 1.2})
    assert (front(ORIGINAL, [only_slower], RULE), front(ORIGINAL, [only_slower], busy)) == ((), (0,))


def test_without_a_candidate_the_original_is_kept() -> None:
    """Every method was refused."""
    assert recommend(ORIGINAL, [], RULE).sentence == "keep the original: no method can be applied to it"


def test_less_of_an_error_is_better() -> None:
    """A regression's mean absolute error: the upper end is the worse one."""
    rule = Rule("mae", 0.01, 1)
    held, lost = candidate("a", size=300, difference=-1.0), candidate("b", size=300, difference=0.0495)
    assert recommend(ORIGINAL, [lost, held], rule).chosen == 1
    assert recommend(ORIGINAL, [lost], rule).chosen is None


def test_the_front_has_what_nothing_beats() -> None:
    """Smaller, faster or better than each other one; times that are apart by a twentieth are the same."""
    made = [
        candidate("smaller", size=400),
        candidate("larger than that, and as good", size=500, milliseconds={1: 1.04}),
        candidate("faster", size=900, milliseconds={1: 0.5}, difference=-0.1),
        candidate("better", size=1500, difference=0.1),
        candidate("worse than the original", difference=-0.001),
        candidate("of its batch", size=1, spread=0.1),
    ]
    assert front(ORIGINAL, made, RULE) == (0, 2, 3)
