"""How right predictions were: the library's numbers, by version, segment and day, with the share of known labels."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, log_loss, mean_absolute_error, mean_pinball_loss, roc_auc_score

from features.times import DAY_MS
from jobs.outcomes.performance import Performance, frame_of, performances, segments

pytestmark = pytest.mark.slow


def outcomes(rows: int = 300, days: int = 6) -> pd.DataFrame:
    """Outcomes of 30 keys over some days, of two versions; one in four has no label."""
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, rows).astype(float)
    scores = np.clip(0.3 * labels + 0.7 * random.random(rows), 0, 1)
    return pd.DataFrame(
        {
            "event_time": random.integers(0, days, rows) * DAY_MS + 5,
            "score": scores,
            "model": "m",
            "version": random.integers(1, 3, rows),
            "label": np.where(np.arange(rows) % 4, labels, np.nan),
            "k": random.integers(0, 30, rows),
            "colour": np.where(random.random(rows) < 0.5, "red", "green"),
        }
    )


def only(found: list[Performance], kind: str) -> dict[str, Performance]:
    """Those of one kind, by name."""
    return {one.name: one for one in found if one.kind == kind}


def test_numbers_are_the_librarys() -> None:
    """Of the rows with a label; the others count for the coverage. Each lies in its interval."""
    frame = outcomes()
    found = performances(frame, "classification", "k")
    (whole,) = only(found, "matured").values()
    known = frame[frame["label"].notna()]
    assert (whole.rows, whole.labelled, whole.coverage) == (300, 225, 0.75)
    expected = {
        "average_precision": average_precision_score(known["label"], known["score"]),
        "auc": roc_auc_score(known["label"], known["score"]),
        "log_loss": log_loss(known["label"], known["score"]),
        "mean_score": known["score"].mean(),
        "share_of_label_1": known["label"].mean(),
    }
    assert {name: whole.metrics[name].value for name in expected} == pytest.approx(expected)
    assert all(one.low <= one.value <= one.high for name, one in whole.metrics.items() if name != "calibration_error")


def test_parts_are_of_their_rows_alone() -> None:
    """Every row is of one version, one segment and one day."""
    frame = outcomes()
    found = performances(frame, "classification", "k", ["colour"])
    assert list(only(found, "version")) == ["m v1", "m v2"]
    assert set(only(found, "segment")) == {"red", "green"}
    assert list(only(found, "day")) == [f"1970-01-0{day}" for day in range(1, 7)]
    for kind in ("version", "segment", "day"):
        assert sum(one.rows for one in only(found, kind).values()) == 300
    red = frame[(frame["colour"] == "red") & frame["label"].notna()]
    assert only(found, "segment")["red"].metrics["auc"].value == pytest.approx(roc_auc_score(red["label"], red["score"]))


def test_segments_of_several_columns_are_in_an_order_that_reads() -> None:
    """Numbers by value, bins too; texts by how often they come; what is no value of its own last."""
    frame = outcomes()
    texts = [*["rare"] * 40, *["often"] * 200, *[None] * 60]
    frame = frame.assign(size=np.arange(300)[::-1] / 2.99, mark=texts, small=[Decimal(place % 2 * 5) for place in range(300)])
    found = [one for one in performances(frame, "classification", "k", ["size", "mark", "small"]) if one.kind == "segment"]
    assert [(one.column, one.name, one.rows) for one in found] == [
        *[("size", f"{low} to {high}", 60) for low, high in pairwise(("0", "20.0669", "40.1338", "60.2007", "80.2676", "100"))],
        ("mark", "often", 200),
        ("mark", "rare", 40),
        ("mark", "(none)", 60),
        ("small", "0", 150),
        ("small", "5", 150),
    ]


def test_a_regression_has_errors_in_the_labels_unit() -> None:
    """MAE, bias and the quantile losses."""
    frame = outcomes().assign(label=lambda one: one["label"] * 10, score=lambda one: one["score"] * 9)
    (whole,) = only(performances(frame, "regression", None), "matured").values()
    known = frame[frame["label"].notna()]
    assert whole.metrics["mae"].value == pytest.approx(mean_absolute_error(known["label"], known["score"]))
    assert whole.metrics["bias"].value == pytest.approx((known["score"] - known["label"]).mean())
    pinball = mean_pinball_loss(known["label"], known["score"], alpha=0.9)
    assert whole.metrics["quantile_loss_0.9"].value == pytest.approx(pinball)


def test_what_cannot_be_measured_is_left_out() -> None:
    """The AUC of one class, the log loss of scores that are no chances, anything of rows without a label."""
    frame = outcomes()
    positive = frame.assign(label=1.0, score=lambda one: one["score"] * 3)
    (whole,) = only(performances(positive, "classification", "k"), "matured").values()
    assert set(whole.metrics) == {"average_precision", "share_of_label_1"}
    (nothing,) = only(performances(frame.assign(label=np.nan), "classification", "k"), "matured").values()
    assert (nothing.labelled, nothing.metrics) == (0, {})


def test_a_row_whose_key_is_not_known_is_one_of_its_own() -> None:
    """Its event is not in history; it does not make all such rows one block."""
    frame = outcomes(days=1).assign(k=None)
    (whole,) = only(performances(frame, "classification", "k"), "matured").values()
    assert whole.metrics["auc"].blocks == 225


def test_many_values_are_few_segments() -> None:
    """Numbers by bins of equal size, texts by the most frequent; null is a segment too."""
    numbers = segments(pd.Series([*np.arange(100.0), np.nan]))
    assert numbers.value_counts().to_dict() == {
        **{f"{20 * place} to {min(99, 20 * (place + 1))}": 20 for place in range(5)},
        "(none)": 1,
    }
    decimals = segments(pd.Series([*(Decimal(number) / 10 for number in range(100)), None]))
    assert decimals.value_counts().to_dict() == {
        **{f"{2 * place} to {min(9.9, 2 * (place + 1)):g}": 20 for place in range(5)},
        "(none)": 1,
    }
    texts = segments(pd.Series([f"t{number}" for number in range(20) for _ in range(20 - number)]))
    assert texts.nunique() == 11
    assert (texts == "(others)").sum() == sum(range(1, 11))
    assert list(segments(pd.Series([1, 2, None]))) == ["1", "2", "(none)"]


@pytest.mark.parametrize("first", [1_234_560, 10**18])
def test_large_whole_numbers_are_segments_of_their_own(first: int) -> None:
    """Neither their bins nor their names fall together, though they are one double, or have six digits in common."""
    few = segments(pd.Series([first, first + 1, first + 1]))
    assert few.value_counts().to_dict() == {str(first + 1): 2, str(first): 1}
    many = segments(pd.Series(range(first, first + 100)))
    assert many.value_counts().to_dict() == {
        f"{first + 20 * place} to {first + min(99, 20 * (place + 1))}": 20 for place in range(5)
    }


def test_doubles_that_are_nearly_equal_are_segments_of_their_own() -> None:
    """With as many digits as tell them apart; one without end is a number like another."""
    assert set(segments(pd.Series([1e7, 1e7 + 1]))) == {"10000000", "10000001"}
    many = segments(pd.Series(1e7 + np.arange(100.0)))
    assert sorted(many.value_counts().to_dict().values()) == [20] * 5
    assert segments(pd.Series([*np.arange(19.0), np.inf])).nunique() == 5


def test_a_text_that_reads_as_another_segment_is_told_apart() -> None:
    """From null, from all others, from nothing."""
    assert list(segments(pd.Series(["(none)", None, "", "a"]))) == ['"(none)"', "(none)", '""', "a"]


def test_what_is_measured_keeps_whole_numbers_whole_and_leaves_the_rest_behind() -> None:
    """Also beside nulls, which pandas would make doubles: two keys would be one."""
    ids = [10**18, 10**18 + 1, None]
    table = pa.table(
        {
            "event_id": ["a", "b", "c"],
            "event_time": [0, 1, 2],
            "score": [0.5, 0.5, 0.5],
            "model": ["m"] * 3,
            "version": [1, 1, 1],
            "label": [None, 1.0, 0.0],
            "sha256": ["0" * 64] * 3,
            "k": pa.array(ids, pa.int64()),
        }
    )
    frame = frame_of(table, ["k"])
    assert set(frame) == {"event_time", "score", "model", "version", "label", "k"}
    assert set(segments(frame["k"])) == {str(10**18), str(10**18 + 1), "(none)"}
    (whole,) = only(performances(frame.assign(label=[1.0, 0.0, 1.0]), "classification", "k"), "matured").values()
    assert whole.metrics["auc"].blocks == 3
