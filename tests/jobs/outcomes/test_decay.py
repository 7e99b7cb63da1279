"""Whether a version has decayed: by which rows it is measured, and in which direction a metric is worse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.definitions.load import load
from features.service import Service
from features.times import DAY_MS, day_ms
from infra.train_settings import TrainSettings
from jobs.history.served import Record
from jobs.outcomes.decay import Decay, decay_of
from jobs.training.bootstrap import Interval
from jobs.training.split import Split
from schemas.deployment import Placed
from tests.jobs.outcomes.test_join import predicted
from tests.support.num import num_project

pytestmark = pytest.mark.slow

DAY = date(2024, 5, 4)
"""The day of the test; its events are in history, one every two hours."""
FIRST_EVENT, EVENTS = 32, 12
SPLIT = Split(date(2024, 5, 2), days=1, delay_days=1, test_days=1)
HOUR = 3_600_000
NAN = float("nan")
Task = Literal["classification", "regression"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The service whose predictions these are."""
    return load(num_project(tmp_path_factory.mktemp("decay") / "num")).service("num")


def scored(score: Callable[[int], float], version: int = 1, later_ms: int = 0) -> list[Record]:
    """A prediction of each event of the day, by its number of that day."""
    return [predicted(FIRST_EVENT + n, day_ms(DAY) + n * 2 * HOUR + later_ms, score(n), version) for n in range(EVENTS)]


def decay(service: Service, folder: Path, labels: list[int], records: list[Record], task: Task = "classification") -> Decay | str:
    """Of version 1, where these are the labels of the day's first events, and training gave 0.9, as an error 0.1."""
    place = folder / "labels.parquet"
    at = pa.array([datetime.fromtimestamp(day_ms(DAY) / 1000 + DAY_MS / 1000, UTC)] * len(labels), pa.timestamp("ms", tz="UTC"))
    ids = pa.array(range(FIRST_EVENT, FIRST_EVENT + len(labels)), pa.int64())
    pq.write_table(pa.table({"id": ids, "at": at, "bad": pa.array(labels, pa.int64())}), place)
    config = TrainSettings(label="outcomes.bad", task=task).config
    metrics = {"average_precision": 0.9, "mae": 0.1}
    histories = {"outcomes": str(place)}
    return decay_of(service, config, SPLIT, Placed("num", 1), metrics, records, horizon_ms=DAY_MS, histories=histories)


def half(number: int) -> int:
    """Every second event is bad."""
    return number % 2


LABELS = [half(number) for number in range(EVENTS)]


def test_a_ranking_is_worse_when_it_is_lower(service: Service, tmp_path: Path) -> None:
    """With the days, the rows and both numbers as text."""
    good, bad = (decay(service, tmp_path, LABELS, scored(score)) for score in (half, lambda n: 1 - half(n)))
    assert isinstance(good, Decay)
    assert isinstance(bad, Decay)
    assert (good.found.value, good.decayed, bad.decayed) == (1.0, False, True)
    assert bad.text.endswith("of 12 predictions from 2024-05-04 to 2024-05-04, 0.9000 at training")


def test_an_error_is_worse_when_it_is_higher(service: Service, tmp_path: Path) -> None:
    """The mean absolute error of a regression."""
    good, bad = (decay(service, tmp_path, LABELS, scored(score), "regression") for score in (half, lambda n: half(n) + 1.0))
    assert isinstance(good, Decay)
    assert isinstance(bad, Decay)
    assert (good.metric, good.found.value, bad.found.value) == ("mean absolute error", 0.0, 1.0)
    assert (good.decayed, bad.decayed) == (False, True)


def test_only_the_versions_own_predictions_of_the_days_count(service: Service, tmp_path: Path) -> None:
    """Another version of the same day, and the days around it, would say the opposite."""
    others = scored(lambda n: 1 - half(n), version=2)
    before, after = (scored(lambda n: 1 - half(n), later_ms=days * DAY_MS) for days in (-1, 1))
    renamed = [Record(one.where, one.value.replace(b'"event_id":', b'"event_id":10')) for one in (*others, *before, *after)]
    found = decay(service, tmp_path, LABELS, [*renamed, *scored(half)])
    assert isinstance(found, Decay)
    assert (found.rows, found.found.value) == (EVENTS, 1.0)


@pytest.mark.parametrize(
    ("labels", "version", "why"),
    [
        (LABELS[:8], 1, "of 12 predictions of num v1 from 2024-05-04 to 2024-05-04 only 66.7% have a label"),
        ([0] * EVENTS, 1, "the predictions of num v1 from 2024-05-04 to 2024-05-04 have labels of one kind only"),
        (LABELS, 2, "there are no predictions of num v1 from 2024-05-04 to 2024-05-04"),
    ],
    ids=["too few labels", "one class", "another version"],
)
def test_what_cannot_be_measured_is_said(service: Service, tmp_path: Path, labels: list[int], version: int, why: str) -> None:
    """A text in place of a number that would mislead."""
    assert decay(service, tmp_path, labels, scored(half, version)) == why


@pytest.mark.parametrize(
    ("higher_is_better", "low", "high", "decayed"),
    [
        (True, 0.5, 0.69, True),
        (True, 0.5, 0.71, False),
        (False, 0.71, 0.9, True),
        (False, 0.69, 0.9, False),
        (True, NAN, NAN, False),
        (False, NAN, NAN, False),
    ],
)
def test_the_whole_interval_has_to_be_worse(higher_is_better: bool, low: float, high: float, decayed: bool) -> None:
    """Than 0.7 at training; without an interval nothing is said."""
    found = Decay(DAY, DAY, "a metric", higher_is_better, 0.7, Interval(0.6, low, high, 9), 100)
    assert found.decayed is decayed
