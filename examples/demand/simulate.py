"""Simulated bike rentals whose true rate is known: the data of the demand example.

Everything is drawn from one seeded generator, on a grid of ten minutes. The rate of rentals of a station and a kind of bike is

    rate = base of the station * share of the bike * daily course * exp(level + 0.04 * (temperature - 12) - 0.5 * rain)

- A station is near homes (busy in the morning), offices (busy in the evening) or a park (busy at weekends, around noon).
- The level of a station goes up and down by itself: a Gaussian process with a deviation of 0.2 and a memory of six hours.
- Rain (mm/h) and temperature (degrees) are those of its district: Gaussian processes with a memory of five hours and two days. It
  rains, in a district, about a sixth of the time.

Rentals are a Poisson process of that rate. So the number in the hour after a rental has a known expected value, and nothing that
is known at its time predicts it better than that: `truth.parquet` has it for each rental.

    python examples/demand/simulate.py OUT_DIR
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

START = np.datetime64("2026-02-02", "ms")
"""A Monday."""
DISTRICTS = ("north", "east", "south", "west")
BIKES = ("city", "electric")
SLOT_MS, SLOTS_AN_HOUR, SLOTS_A_DAY = 600_000, 6, 144
HOUR_MS = 3_600_000
LATEST_REPORT_MS = 10_000
"""What a dock or a weather station reports is this late at most."""

MODEL_VERSION = 1
"""Raised with every change of what the same parameters give, so that older files are made anew."""
PARAMETERS_KEY = b"headrace.simulation"

TIME, TEXT, TENTHS = pa.timestamp("ms", tz="UTC"), pa.string(), pa.decimal128(5, 1)
FILES = {
    "rentals.parquet": pa.schema(
        {"rental_id": TEXT, "rented_at": TIME, "reported_at": TIME, "station": TEXT, "bike": TEXT, "district": TEXT}
    ),
    "weather.parquet": pa.schema(
        {"reading_id": TEXT, "measured_at": TIME, "received_at": TIME, "district": TEXT, "rain_mm": TENTHS, "temperature": TENTHS}
    ),
    "outcomes.parquet": pa.schema({"rental_id": TEXT, "known_at": TIME, "station": TEXT, "bike": TEXT, "demand": pa.int64()}),
    "truth.parquet": pa.schema({"rental_id": TEXT, "rented_at": TIME, "expected": pa.float64(), "demand": pa.int64()}),
}

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Tables = dict[str, pa.Table]


class City(NamedTuple):
    """What decides the rentals; the last axis is the slot of ten minutes."""

    rain: Floats
    """[districts, slots], mm/h, in tenths."""
    temperature: Floats
    """[districts, slots], degrees, in tenths."""
    rate: Floats
    """[stations, bikes, slots], rentals an hour."""


class Rentals(NamedTuple):
    """Columns of equal length, a row for each rental, in order of time."""

    time: Integers
    """Milliseconds since `START`."""
    station: Integers
    bike: Integers


def simulate(stations: int = 40, days: int = 36, seed: int = 0) -> Tables:
    """The tables of `FILES` by name, for ``days`` days from `START`; the same parameters always give the same.

    A table is in the order in which its rows arrive. Raises ValueError for fewer than one station of each district.
    """
    if stations < len(DISTRICTS) or days < 1:
        raise ValueError(
            f"each of {len(DISTRICTS)} districts has a station; got stations={stations}, days={days}; "
            f"raise them to {len(DISTRICTS)} and 1 or more"
        )
    generator = np.random.default_rng(seed)
    slots = days * SLOTS_A_DAY + SLOTS_AN_HOUR  # an hour more: the last rentals have a next hour too
    city = draw_city(generator, stations, slots)
    everything = draw_rentals(generator, city)
    demand = count_next_hour(everything)
    kept = everything.time < days * SLOTS_A_DAY * SLOT_MS
    rentals = Rentals(*(column[kept] for column in everything))
    tables = _tables(generator, city, rentals, demand[kept], slots - SLOTS_AN_HOUR)
    metadata = {PARAMETERS_KEY: json.dumps(parameters(stations, days, seed))}
    return {name: table.replace_schema_metadata(metadata) for name, table in tables.items()}


def parameters(stations: int, days: int, seed: int) -> dict[str, int]:
    """What decides every value of a simulation, as it stands in the files."""
    return {"model": MODEL_VERSION, "stations": stations, "days": days, "seed": seed}


def district_of(station: Integers) -> Integers:
    """The stations go round the districts."""
    return station % len(DISTRICTS)


def draw_city(generator: np.random.Generator, stations: int, slots: int) -> City:
    """Weather, and from it the rate of each station and kind of bike."""
    both = memory(generator, 1, slots, hours=5), memory(generator, len(DISTRICTS), slots, hours=5)
    rain = np.round(3 * np.clip(0.9 * both[0] + 0.44 * both[1] - 1, 0, None), 1)
    hour = np.arange(slots) / SLOTS_AN_HOUR % 24
    by_day = 12 + 5 * np.cos((hour - 15) / 24 * 2 * np.pi)
    temperature = np.round(by_day + 3 * memory(generator, len(DISTRICTS), slots, hours=48), 1)
    base = np.exp(generator.normal(np.log(4), 0.4, stations))
    electric = generator.uniform(0.2, 0.5, stations)
    level = 0.2 * memory(generator, stations, slots, hours=6)
    course = np.stack([daily_course(kind, slots) for kind in range(3)])[generator.integers(0, 3, stations)]
    district = district_of(np.arange(stations))
    weather = np.exp(0.04 * (temperature - 12) - 0.5 * rain)[district]
    of_station = base[:, None] * course * np.exp(level) * weather
    share = np.stack([1 - electric, electric], axis=1)
    return City(rain, temperature, 2 * of_station[:, None, :] * share[:, :, None])


def memory(generator: np.random.Generator, count: int, slots: int, hours: float) -> Floats:
    """Processes of mean 0 and deviation 1 whose values lose their correlation, by a factor of e, in ``hours``: [count, slots]."""
    keeps = np.exp(-1 / (hours * SLOTS_AN_HOUR))
    draws = generator.normal(0, 1, (slots, count))
    draws[1:] *= np.sqrt(1 - keeps**2)
    for slot in range(1, slots):
        draws[slot] += keeps * draws[slot - 1]
    return draws.T


def daily_course(kind: int, slots: int) -> Floats:
    """The course of a kind of station over days and weeks, about 1 on average: homes, offices, park."""
    hour, day = np.arange(slots) / SLOTS_AN_HOUR % 24, np.arange(slots) // SLOTS_A_DAY % 7
    weekend = day >= 5
    peak = (8, 17, 14)[kind]
    rush = np.exp(-(((hour - peak) / 2) ** 2))
    noon = np.exp(-(((hour - 14) / 3.5) ** 2))
    working, free = (0.2 + 2 * rush + 0.8 * noon, 0.2 + 1.2 * noon) if kind < 2 else (0.2 + 0.8 * noon, 0.2 + 3 * noon)
    return np.where(weekend, free, working)


def draw_rentals(generator: np.random.Generator, city: City) -> Rentals:
    """A Poisson process of the city's rates."""
    counts = generator.poisson(city.rate / SLOTS_AN_HOUR)
    station, bike, slot = (np.repeat(place.ravel(), counts.ravel()) for place in np.indices(counts.shape))
    when = slot * SLOT_MS + generator.integers(0, SLOT_MS, len(slot))
    in_time = np.argsort(when, kind="stable")
    return Rentals(when[in_time], station[in_time], bike[in_time])


def count_next_hour(rentals: Rentals) -> Integers:
    """For each rental at t, how many of its station and kind of bike there are in (t, t + 1 h]."""
    demand = np.zeros(len(rentals.time), np.int64)
    dock = rentals.station * len(BIKES) + rentals.bike
    for one in np.unique(dock):
        rows = np.flatnonzero(dock == one)
        times = rentals.time[rows]
        demand[rows] = np.searchsorted(times, times + HOUR_MS, "right") - np.searchsorted(times, times, "right")
    return demand


def expected_next_hour(city: City, rentals: Rentals) -> Floats:
    """The integral of the rate over the hour after each rental: the expected value of `count_next_hour`."""
    slots = np.zeros((*city.rate.shape[:2], 1)), city.rate / SLOTS_AN_HOUR
    so_far = np.cumsum(np.concatenate(slots, axis=2), axis=2)
    slot, part = rentals.time // SLOT_MS, rentals.time % SLOT_MS / SLOT_MS

    def until(slots_later: int) -> Floats:
        before = so_far[rentals.station, rentals.bike, slot + slots_later]
        after = so_far[rentals.station, rentals.bike, np.minimum(slot + slots_later + 1, so_far.shape[2] - 1)]
        found: Floats = before + part * (after - before)
        return found

    return until(SLOTS_AN_HOUR) - until(0)


def _tables(generator: np.random.Generator, city: City, rentals: Rentals, demand: Integers, slots: int) -> Tables:
    """The tables, each in the order in which its rows arrive."""
    count = len(rentals.time)
    ids = np.char.add("r", np.char.zfill(np.arange(count).astype(str), 7))
    late = np.minimum(generator.exponential(2000, count), LATEST_REPORT_MS).astype(np.int64)
    # The hour is over, and a nightly or hourly job counts it some time later.
    known = rentals.time + HOUR_MS + generator.integers(HOUR_MS, 6 * HOUR_MS, count)
    names = np.array([f"{DISTRICTS[station % len(DISTRICTS)]}-{station:02}" for station in range(city.rate.shape[0])])
    place = {"station": names[rentals.station], "bike": np.array(BIKES)[rentals.bike]}
    district = np.array(DISTRICTS)[district_of(rentals.station)]
    expected = expected_next_hour(city, rentals)
    measured = np.repeat(np.arange(slots) * SLOT_MS, len(DISTRICTS))
    received = measured + generator.integers(1000, LATEST_REPORT_MS, len(measured))
    columns: dict[str, dict[str, Any]] = {
        "rentals.parquet": {"rental_id": ids, "rented_at": rentals.time, "reported_at": rentals.time + late}
        | place
        | {"district": district},
        "weather.parquet": {
            "reading_id": np.char.add("w", np.arange(len(measured)).astype(str)),
            "measured_at": measured,
            "received_at": received,
            "district": np.tile(DISTRICTS, slots),
            "rain_mm": city.rain[:, :slots].T.ravel(),
            "temperature": city.temperature[:, :slots].T.ravel(),
        },
        "outcomes.parquet": {"rental_id": ids, "known_at": known, **place, "demand": demand},
        "truth.parquet": {"rental_id": ids, "rented_at": rentals.time, "expected": expected, "demand": demand},
    }
    arrival = {"rentals.parquet": "reported_at", "weather.parquet": "received_at", "outcomes.parquet": "known_at"}
    return {
        name: _table(FILES[name], of_file, np.argsort(of_file[arrival.get(name, "rented_at")], kind="stable"))
        for name, of_file in columns.items()
    }


def _table(schema: pa.Schema, columns: dict[str, Any], order: Integers) -> pa.Table:
    """The columns in an order, as a table of this schema: times count from `START`, tenths are exact decimals."""
    arrays = []
    for field in schema:
        values = columns[field.name][order]
        values = START + values.astype("timedelta64[ms]") if field.type == TIME else values
        array = pa.array(values)
        # Arrow would round a float's own digits: the nearest text has one place.
        array = array.cast(pa.int64()) if field.type == TIME else array
        arrays.append(array.cast(field.type))
    return pa.table(arrays, schema=schema)


def write(tables: Tables, folder: Path) -> None:
    """Write what `simulate` gave; a reader sees a whole file or none."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        unfinished = folder / f".{name}.{os.getpid()}"
        try:
            pq.write_table(table, unfinished)
            os.replace(unfinished, folder / name)
        finally:
            unfinished.unlink(missing_ok=True)


def already_written(folder: Path, wanted: dict[str, int]) -> bool:
    """Whether all files are there and hold the simulation of these `parameters`."""
    return all((folder / name).exists() and _parameters_in(folder / name) == wanted for name in FILES)


def _parameters_in(path: Path) -> Any:
    return json.loads((pq.read_schema(path).metadata or {}).get(PARAMETERS_KEY, b"null"))


def main(
    out_dir: Annotated[Path, typer.Argument(help="Where the files go.")],
    stations: Annotated[int, typer.Option(min=len(DISTRICTS))] = 40,
    days: Annotated[int, typer.Option(min=1)] = 36,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Simulate bike rentals of a known rate, unless the same ones are there already."""
    if already_written(out_dir, parameters(stations, days, seed)):
        typer.echo(f"{out_dir} already holds this simulation; nothing to do")
        return
    began = time.perf_counter()
    tables = simulate(stations, days, seed)
    write(tables, out_dir)
    took = time.perf_counter() - began
    rentals, readings = (tables[name].num_rows for name in ("rentals.parquet", "weather.parquet"))
    typer.echo(f"{rentals:,} rentals, {readings:,} readings of the weather in {out_dir} ({took:.1f} s)")


if __name__ == "__main__":
    typer.run(main)
