"""The demand example: data whose truth is known, features that equal it, and a model that comes near what can be known."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.definitions.load import load
from features.service import Service
from features.times import DAY_MS, day_ms
from infra.models import registering
from infra.settings import load_settings
from jobs.history.batch_views import materialize
from jobs.history.compute import compute
from jobs.training.split import Split
from jobs.training.train import train
from serving.models.registry import Registry
from tests.support.demand import demand_project, program

pytestmark = pytest.mark.slow

SIZE = {"stations": 8, "days": 16}
FIRST, LAST = date(2026, 2, 9), date(2026, 2, 17)
"""The days of batch rows: from a week after the start."""
HOUR, MINUTE = 3_600_000, 60_000
simulate = program("simulate")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with 16 days of 8 stations."""
    return demand_project(tmp_path_factory.mktemp("a demand"), **SIZE)


@pytest.fixture(scope="module")
def service(folder: Path) -> Service:
    """Its service, with the rows of its batch view."""
    made = load(folder).service("demand")
    materialize(made, FIRST, LAST)
    return made


@pytest.fixture(scope="module")
def truth(folder: Path) -> pd.DataFrame:
    """For each rental what was expected of the hour after it, and what came."""
    frame: pd.DataFrame = pq.read_table(folder / "data" / "truth.parquet").to_pandas()
    return frame


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """A file's rows, times in milliseconds."""
    frame = pq.read_table(folder / "data" / f"{name}.parquet").to_pandas()
    for column in frame.select_dtypes("datetimetz"):
        frame[column] = frame[column].astype("datetime64[ms, UTC]").astype("int64")
    found: list[dict[str, Any]] = frame.to_dict("records")
    return found


def test_the_same_parameters_give_the_same_tables() -> None:
    """A second simulation equals the first, whatever the state of the global generators; another seed gives another."""
    one, two, other = simulate.simulate(4, 2), simulate.simulate(4, 2), simulate.simulate(4, 2, seed=1)
    assert {name: table.equals(two[name]) for name, table in one.items()} == dict.fromkeys(simulate.FILES, True)
    assert not one["rentals.parquet"].equals(other["rentals.parquet"])


def test_too_small_a_city_is_refused() -> None:
    """The error says what came and what to write instead."""
    with pytest.raises(ValueError, match="got stations=3, days=2; raise them to 4 and 1"):
        simulate.simulate(3, 2)


def test_what_is_expected_is_what_comes_on_average(truth: pd.DataFrame) -> None:
    """Rentals are a Poisson process: at every level their mean is the expected number, and so is their variance around it."""
    error = truth["demand"] - truth["expected"]
    # Hours overlap, so there are about as many independent ones as docks have hours.
    for _, level in truth.groupby(pd.qcut(truth["expected"], 5), observed=True):
        assert level["demand"].mean() == pytest.approx(level["expected"].mean(), rel=0.08)
        assert (error[level.index] ** 2).mean() == pytest.approx(level["expected"].mean(), rel=0.15)


def test_outcomes_are_counted_rentals_known_hours_later(folder: Path) -> None:
    """Each rental has one outcome: the rentals of its dock in the hour after it; known two to seven hours after it."""
    rentals = rows(folder, "rentals")
    of_dock: dict[tuple[str, str], list[int]] = {}
    for rental in rentals:
        of_dock.setdefault((rental["station"], rental["bike"]), []).append(rental["rented_at"])
    outcomes = {outcome["rental_id"]: outcome for outcome in rows(folder, "outcomes")}
    end = max(rental["rented_at"] for rental in rentals) - HOUR  # the file ends an hour before the simulation
    assert outcomes.keys() == {rental["rental_id"] for rental in rentals}
    for rental in rentals:
        outcome, at = outcomes[rental["rental_id"]], rental["rented_at"]
        assert 2 * HOUR <= outcome["known_at"] - at < 7 * HOUR
        if at < end:
            others = of_dock[rental["station"], rental["bike"]]
            assert outcome["demand"] == sum(at < other <= at + HOUR for other in others)


def test_files_are_in_the_order_in_which_their_rows_arrive(folder: Path) -> None:
    """And some rentals arrive after newer ones, though none later than the definitions say."""
    for name, arrival in {"rentals": "reported_at", "weather": "received_at", "outcomes": "known_at"}.items():
        arrivals = [row[arrival] for row in rows(folder, name)]
        assert arrivals == sorted(arrivals)
    rentals = rows(folder, "rentals")
    newest, late = 0, 0
    for rental in rentals:
        late += rental["rented_at"] < newest
        newest = max(newest, rental["rented_at"])
        assert newest - rental["rented_at"] <= simulate.LATEST_REPORT_MS
    assert late > len(rentals) / 100


def test_history_equals_a_loop_over_all_rows(folder: Path, service: Service) -> None:
    """Windows over the composite key, over one of its parts, and over the weather of the district, and what is made of them."""
    start = day_ms(date(2026, 2, 12)) + 16 * HOUR
    table = compute(service, start_ms=start, end_ms=start + 2 * HOUR).to_pylist()
    rentals, weather = rows(folder, "rentals"), sorted(rows(folder, "weather"), key=lambda row: row["measured_at"])
    assert len(table) > 50
    for row in table:
        for name, value in naive(row, rentals, weather):
            found = row[name] if row[name] is None else float(row[name])
            assert found == pytest.approx(value, rel=1e-12), name


def naive(query: dict[str, Any], rentals: list[dict[str, Any]], weather: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The slow obvious way: features of a query by name, from all rows."""
    now = query["rented_at"]
    station = sorted(row["rented_at"] for row in rentals if row["station"] == query["station"] and row["rented_at"] <= now)
    keys = ("station", "bike")
    dock = sorted(row["rented_at"] for row in rentals if all(row[key] == query[key] for key in keys) and row["rented_at"] <= now)

    def count(times: list[int], since: int, until: int = 0) -> int:
        return sum(now - since < time <= now - until for time in times)

    for name, window in {"15m": 15 * MINUTE, "1h": HOUR, "3h": 3 * HOUR, "24h": 24 * HOUR, "168h": 168 * HOUR}.items():
        yield f"dock_rentals__count_{name}", count(dock, window)
    yield "station_rentals__count_1h", count(station, HOUR)
    yield "station_rentals__count_24h", count(station, 24 * HOUR)
    yield "same_hour__yesterday", count(dock, 24 * HOUR, 23 * HOUR)
    yield "same_hour__week_ago", count(dock, 168 * HOUR, 167 * HOUR)
    last = [time for time in dock if time > now - 24 * HOUR][-6:]
    yield "dock_pace__minutes", (last[-1] - last[0]) / MINUTE / (len(last) - 1) if len(last) > 1 else None
    hour = [row for row in weather if row["district"] == query["district"] and now - HOUR < row["measured_at"] <= now]
    yield "district_weather__rain_now", float(hour[-1]["rain_mm"])
    yield "district_weather__rain_1h", float(sum(row["rain_mm"] for row in hour)) / len(hour)
    yield "district_weather__temperature", float(hour[-1]["temperature"])
    yield "rental_facts__hour", now % DAY_MS / HOUR
    yield "rental_facts__weekday", pd.Timestamp(now, unit="ms").weekday()
    yield "rental_facts__electric", int(query["bike"] == "electric")


def test_the_batch_view_is_of_the_days_before(service: Service, folder: Path) -> None:
    """A dock's rentals an hour in the days before, by a key of two strings; none of the day itself."""
    day = date(2026, 2, 12)
    table = compute(service, start_ms=day_ms(day), end_ms=day_ms(day) + HOUR).to_pylist()
    rentals = [row for row in rows(folder, "rentals") if row["rented_at"] < day_ms(day)]
    hours = (day_ms(day) // HOUR) - min(row["rented_at"] for row in rentals) // HOUR
    for row in table:
        dock = [other for other in rentals if (other["station"], other["bike"]) == (row["station"], row["bike"])]
        assert row["dock_profile__per_hour"] == pytest.approx(len(dock) / hours)
        assert row["_as_of_dock_profile"] == day_ms(day)


def test_a_model_comes_near_what_can_be_known(service: Service, folder: Path, truth: pd.DataFrame, tmp_path: Path) -> None:
    """After five days of eight stations its errors are below 1.6 and 1.8 times the true rate's, and far from the mean's."""
    config = load_settings(folder).train["demand"].config
    split = Split(date(2026, 2, 9), days=5, delay_days=1, test_days=2)
    metrics = train(service, config, split, register=registering(Registry(tmp_path))).metrics
    tested = truth[(truth["rented_at"] >= "2026-02-15") & (truth["rented_at"] < "2026-02-17")]
    error = tested["demand"] - tested["expected"]
    assert metrics["test_rows"] == len(tested)
    assert np.abs(error).mean() < metrics["mae"] < 1.6 * np.abs(error).mean()
    assert metrics["rmse"] < 1.8 * np.sqrt((error**2).mean())
    assert metrics["mae"] < metrics["mae_of_mean"] / 1.5


def test_the_floor_is_what_the_true_rate_misses(folder: Path, truth: pd.DataFrame) -> None:
    """The program that says how good a model could be: over the rentals of the days, the noise of a Poisson number."""
    floor = program("floor").floor(folder / "data" / "truth.parquet", date(2026, 2, 15), 2)
    tested = truth[(truth["rented_at"] >= "2026-02-15") & (truth["rented_at"] < "2026-02-17")]
    assert floor["rentals"] == len(tested)
    assert floor["mae"] < (tested["demand"] - tested["demand"].mean()).abs().mean() / 2
    assert floor["rmse"] ** 2 == pytest.approx(tested["expected"].mean(), rel=0.15)
    assert abs(floor["bias"]) < 0.3


def test_the_program_does_nothing_where_its_files_are(tmp_path: Path) -> None:
    """Files of these parameters stay; one that is missing, or of others, is made anew with the rest."""
    simulate.write(simulate.simulate(4, 1), tmp_path)
    assert simulate.already_written(tmp_path, simulate.parameters(4, 1, 0))
    assert not simulate.already_written(tmp_path, simulate.parameters(4, 2, 0))
    shutil.move(tmp_path / "weather.parquet", tmp_path / "elsewhere")
    assert not simulate.already_written(tmp_path, simulate.parameters(4, 1, 0))
