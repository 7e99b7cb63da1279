"""What age loses is paired by cut-off, tested on the rows that training would test, and recommended by a stated rule."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import SettingError
from features.service import Service
from features.times import DAY_MS
from infra.models import registering
from infra.train_settings import TrainSettings
from jobs.freshness import measure
from jobs.freshness.measure import Age, Comparison, Freshness, ages_of, freshness, rows_tested
from jobs.freshness.picture import draw
from jobs.training.bootstrap import Interval
from jobs.training.rows import Rows
from jobs.training.split import Split
from jobs.training.train import train
from serving.models.registry import Registry

pytestmark = pytest.mark.slow

WANTED = Comparison(date(2018, 4, 5), date(2018, 5, 14), days=7, delay_days=7, test_days=7, every=7, ages=(0, 4))
CONFIG = TrainSettings(label="labels.is_fraud", trees=5, group="customer_id", group_top=10, leave_out_known_positives=True).config


def of(lost: list[tuple[float, float]], tolerance: float = 0.1) -> Freshness:
    """What is found where ages 0, 10, 20 and so on lose so much, at most so much; the fresh metric is 0.5."""
    ages = [
        Age(10 * place, Interval(0.5 - value, 0, 1, 9), Interval(value, 0, high, 9), 1.0)
        for place, (value, high) in enumerate(lost)
    ]
    return Freshness("s", "average precision", (), tuple(ages), {}, 1, 1.0, tolerance)


def test_cut_offs_are_as_many_as_there_is_data_for() -> None:
    """The last one's test ends where the days end; the first one's oldest model begins where they begin, or later."""
    assert [str(np.datetime64(day, "D")) for day in WANTED.cut_offs] == ["2018-04-23", "2018-04-30", "2018-05-07"]
    first = WANTED.cut_offs[0] - 7 - 4 - 7
    assert str(np.datetime64(first, "D")) == "2018-04-05"


def test_age_0_is_what_training_measures(small: Service, tmp_path: Path) -> None:
    """At each cut-off the model, its test rows and its metric are those of `headrace train` for the same days."""
    found = freshness(small, CONFIG, WANTED, tolerance=0.02)
    register = registering(Registry(tmp_path))
    for place, (begin, age) in enumerate([(date(2018, 4, 9), 0), (date(2018, 4, 16), 0), (date(2018, 4, 23), 0)]):
        trained = train(small, CONFIG, Split(begin, 7, 7, 7), register=register)
        assert found.values[age][place] == pytest.approx(trained.metrics["average_precision"], rel=1e-6)
    assert found.models == 6
    fresh, old = found.ages
    assert (fresh.lost.value, fresh.lost.low, fresh.lost.high) == (0, 0, 0)
    expected = np.mean(np.array(found.values[0]) - np.array(found.values[4]))
    assert old.lost.value == pytest.approx(expected)
    assert (old.seconds_a_year, fresh.seconds_a_year) == pytest.approx((found.seconds * 365 / 4, found.seconds * 365))
    draw(found, tmp_path / "picture.html")
    page = (tmp_path / "picture.html").read_text()
    assert found.recommendation in page
    assert "<svg" in page


def test_a_positive_that_was_not_known_at_the_cut_off_leaves_no_group_out() -> None:
    """As in training: a label of a training day that came only after the test had begun is none of what was known by then."""
    days = measure.day_ms(date(2018, 4, 9)) // DAY_MS + np.array([0, 0, 14, 14, 14])
    frame = pd.DataFrame({"event_id": range(5), "day": days, "group": list("abacb"), "label": [1.0, 1.0, 0.0, 1.0, 0.0]})
    times = (days[0] + np.array([20, 3, 21, 21, 21])) * DAY_MS
    known = pa.table({"event_id": frame["event_id"], "label": frame["label"], "known_at": times})
    rows = Rows(pa.table({}), frame, known, (), np.empty((5, 0), np.float32), days < 0, days < 0)
    tested = rows_tested(rows, CONFIG, WANTED, int(days[2]))
    assert [frame["event_id"][place] for place in tested] == [2, 3]  # b's positive was known on the fourth day, a's was not


def test_no_model_learns_from_a_label_that_was_not_known_by_then(small: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels come seven days after their events: three days after its training days, a model has those of the first three."""
    learnt = list[int]()

    def fit(x: np.ndarray, labels: np.ndarray) -> SimpleNamespace:
        learnt.append(len(labels))
        return SimpleNamespace(predict=lambda x: np.zeros(len(x)))

    monkeypatch.setattr(measure, "fitting", lambda config, plan: fit)
    config = TrainSettings(label="labels.is_fraud").config
    found = freshness(small, config, msgspec.structs.replace(WANTED, delay_days=3), tolerance=0.02)
    times = pq.read_table(small.folder / "data" / "transactions.parquet")["event_time"].to_pandas().dt.tz_localize(None)
    ends = sorted({cut - timedelta(days=3 + age) for cut in found.cut_offs for age in (0, 4)})
    between = [(pd.Timestamp(end - timedelta(days=7)), pd.Timestamp(end - timedelta(days=4))) for end in ends]
    assert learnt == [int(((times >= first) & (times < last)).sum()) for first, last in between]


def test_a_cut_off_that_is_hard_for_all_ages_does_not_widen_what_is_lost() -> None:
    """The metric's interval is wide, that of the paired loss is not; of an error, more is worse."""
    hard = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7])
    _, old = ages_of({0: hard, 7: hard - 0.05}, 1.0, higher_is_better=True)
    assert old.lost.value == pytest.approx(0.05)
    assert old.lost.high - old.lost.low < 1e-9 < old.metric.high - old.metric.low
    _, old = ages_of({0: hard, 7: hard - 0.05}, 1.0, higher_is_better=False)
    assert old.lost.value == pytest.approx(-0.05)


@pytest.mark.parametrize(
    ("lost", "longest", "said"),
    [
        (
            [(0, 0), (0.01, 0.04), (0.1, 0.2)],
            10,
            "Retrain every 10 days: up to then at most 10% of the average precision (0.0500)",
        ),
        ([(0, 0), (0.01, 0.06), (0.0, 0.01)], 0, "Retrain as often as you can, at least every 10 days: 10 days may lose 0.0600"),
        (
            [(0, 0), (0.01, 0.02), (0.0, 0.03)],
            20,
            "Retrain every 20 days or less often: even data 20 days older lose at most 0.0300",
        ),
        ([(0, 0), (0.01, float("nan"))], 0, "Retrain as often as you can"),
    ],
)
def test_the_recommendation_is_the_highest_age_that_surely_loses_little(
    lost: list[tuple[float, float]], longest: int, said: str
) -> None:
    """By the worse end of the interval, and of all lower ages too: noise is no reason to wait."""
    found = of(lost)
    assert found.longest == longest
    assert found.recommendation.startswith(said)


def test_what_is_accepted_is_said_as_it_was_given() -> None:
    """Not rounded to whole percents."""
    assert "more than 1.5% of the average precision (0.0075)" in of([(0, 0), (0.01, 0.02)], tolerance=0.015).recommendation


def test_too_few_cut_offs_are_refused(small: Service) -> None:
    """It says how many days it takes."""
    few = Comparison(date(2018, 4, 20), date(2018, 5, 14), 7, 7, 7, 7, (0, 4))
    with pytest.raises(SettingError, match=r"an interval needs 3 cut-off days; got 0 .* or 39 days of history"):
        freshness(small, CONFIG, few, tolerance=0.02)
