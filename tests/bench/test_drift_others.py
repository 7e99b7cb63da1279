"""What is made of the times at which other detectors say that there is drift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench import drift_others
from bench.drift_detectors import streaming
from bench.drift_others import Case, Stream
from features.times import DAY_MS

HALF = DAY_MS // 2
TIMES = np.arange(0, 30 * DAY_MS, HALF)
STREAM = Stream(np.zeros((10, 2)), TIMES, np.zeros((len(TIMES), 2)))
CASES = [Case("up", 1, begin * DAY_MS, TIMES[2 * begin - 2 : 2 * begin + 6], np.ones(8)) for begin in (5, 10)]


def told(monkeypatch: pytest.MonkeyPatch, stream: list[list[int]], cases: list[list[int]]) -> dict[str, float]:
    """The rows by name, of a detector that says so."""
    given: list[Case] = []

    def detected(_: Stream, all_of_them: list[Case]) -> dict[str, Any]:
        given.extend(all_of_them)
        return {"one": {"stream": stream, "cases": cases}}

    monkeypatch.setattr(drift_others, "_detected", detected)
    found = {line["name"]: line["value"] for line in drift_others.rows(STREAM, CASES, months=0.5)}
    assert [len(case.times) for case in given] == [8] * 4
    assert all((case.values == 0).all() for case in given[2:])
    return found


def test_days_in_a_row_are_one_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a day belongs to that day; two detections on a day count once; alarms and days are those of a month."""
    ends = [3 * DAY_MS, 4 * DAY_MS, 4 * DAY_MS - 5, 9 * DAY_MS]
    found = told(monkeypatch, [sorted(ends), []], [[], [], [], []])
    assert found["one: false alarms a model-month"] == 4
    assert found["one: a month's days of an input with an alarm"] == 6


def test_a_shift_is_found_by_the_first_detection_after_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """One before it does not count; what is found where nothing happens is told beside it."""
    found = told(monkeypatch, [[], []], [[4 * DAY_MS, 6 * DAY_MS], [10 * DAY_MS + HALF], [5 * DAY_MS + 1], [9 * DAY_MS]])
    assert found["one: up, found in 2 of 2, by chance in 1, the slowest after"] == 1


def test_a_shift_that_is_not_found_has_no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """-1 stands for none."""
    found = told(monkeypatch, [[], []], [[], [10 * DAY_MS], [], []])
    assert found["one: up, found in 0 of 2, by chance in 0, the slowest after"] == -1


class Above:
    """Says drift for each value above 2."""

    drift_detected = False
    seen: list[float]

    def __init__(self, seen: list[float]) -> None:
        self.seen = seen

    def update(self, value: float) -> None:
        """Look at it."""
        self.seen.append(value)
        self.drift_detected = value > 2


def test_a_streaming_detector_is_given_training_first_then_every_value_that_is_there() -> None:
    """Values are deviations from training's mean in its standard deviations; nulls are left out, and training says nothing."""
    seen: list[float] = []
    detect = streaming(lambda: Above(seen))
    trained, values = np.array([0.0, 2.0, np.nan, 4.0, 18.0]), np.array([6.0, np.nan, 30.0])
    deviation = float(np.nanstd(trained))
    assert detect(trained, np.array([100, 101, 102]), values) == [102]
    assert seen == pytest.approx([(value - 6) / deviation for value in (0, 2, 4, 18, 6, 30)])


def test_a_slow_detector_is_given_one_value_in_some() -> None:
    """Of training and of the stream alike."""
    seen: list[float] = []
    streaming(lambda: Above(seen), 2)(np.arange(5.0), np.arange(4), np.arange(4.0))
    assert len(seen) == 3 + 2
