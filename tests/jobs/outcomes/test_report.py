"""What `headrace outcomes` leaves for the page: what was measured, what is not due, and the calibration, exact over its bins."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest

from features.times import DAY_MS
from jobs.outcomes.calibration import calibrations
from jobs.outcomes.performance import performances
from jobs.outcomes.report import report
from schemas.outcomes_report import OutcomesReport
from tests.jobs.outcomes.test_performance import outcomes

pytestmark = pytest.mark.slow


def made(frame: pd.DataFrame, due: int = 4) -> OutcomesReport:
    """The report of these outcomes where the first ``due`` days are."""
    until = due * DAY_MS
    found = performances(frame[frame["event_time"] < until], "classification", "k", ["colour"])
    known = {"service": "s", "source": "predictions.s", "label": "l.bad", "task": "classification", "key": "k"}
    return report(frame, found, **known, segments=["colour"], delay_days=2, matured_until=until, now_ms=7)  # type: ignore[arg-type]


def test_days_that_are_not_due_are_counted_and_not_measured() -> None:
    """With the day whose labels they wait for: the labels of a day are due once there is one of a day later than its delay."""
    frame = outcomes()
    found = made(frame)
    assert [one.name for one in found.cohorts if one.kind == "day"] == ["1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04"]
    assert [(one.name, one.due) for one in found.waiting] == [("1970-01-05", "1970-01-08"), ("1970-01-06", "1970-01-09")]
    fifth = frame[frame["event_time"] // DAY_MS == 4]
    assert (found.waiting[0].rows, found.waiting[0].labelled) == (len(fifth), fifth["label"].notna().sum())
    assert found.predictions == found.matured + sum(one.rows for one in found.waiting) == len(frame)
    assert found.matured_until == "1970-01-05"


def test_it_is_strict_json_and_comes_back_equal() -> None:
    """An interval that is not known is null: NaN is no JSON."""
    frame = outcomes().assign(k=1)  # one key, too few days: no interval
    found = made(frame)
    content = msgspec.json.encode(found)
    assert b"NaN" not in content
    assert msgspec.json.decode(content, type=OutcomesReport) == found
    assert {one.low for one in found.cohorts[0].metrics.values()} == {None}


def test_each_bin_says_what_was_said_and_what_happened() -> None:
    """Every labelled row is in one bin, by its score; the means are those of its rows, with the label's interval around it."""
    frame = outcomes(rows=2000)
    known = frame[frame["label"].notna()]
    found = calibrations(frame, "classification", "k")
    assert [one.name for one in found] == ["all", "m v1", "m v2"]
    bins = found[0].bins
    assert sum(one.rows for one in bins) == len(known)
    for one, after in zip(bins, [*bins[1:], None], strict=True):
        own = known[known["score"].between(one.lowest, one.highest)]
        assert one.rows == len(own)
        assert (one.mean_score, one.mean_label.value) == pytest.approx((own["score"].mean(), own["label"].mean()))
        low, high = one.mean_label.low, one.mean_label.high
        if own["label"].nunique() == 1:  # every draw gives that label: a width of 0 would say that nobody can be surer
            assert (low, high) == (None, None)
        else:
            assert low is not None
            assert low <= one.mean_label.value <= (high or 0)
        assert after is None or one.highest < after.lowest
    assert {one.mean_label.low is None for one in bins} == {True, False}
    assert sum(one.rows for one in found[1].bins) == (known["version"] == 1).sum()


def test_scores_that_are_no_chances_have_no_calibration_and_numbers_have() -> None:
    """Of a classification, they say nothing of a share; a regression's are in its label's unit."""
    frame = outcomes()
    frame["score"] = frame["score"] * 3
    assert calibrations(frame, "classification", "k") == []
    assert [one.name for one in calibrations(frame, "regression", "k")] == ["all", "m v1", "m v2"]
    assert calibrations(frame.assign(label=np.nan), "regression", "k") == []


def test_one_score_is_one_bin() -> None:
    """A model that says the same of every event."""
    (all_of_it, *_) = calibrations(outcomes().assign(score=0.25), "classification", "k")
    (one,) = all_of_it.bins
    assert (one.lowest, one.highest, one.mean_score) == (0.25, 0.25, 0.25)
