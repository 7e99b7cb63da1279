"""The simulated card transactions: the figures of their description, and the files."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer import Typer
from typer.testing import CliRunner

from bench.common import simulation as example

SMALL = {"customers": 50, "terminals": 100, "days": 30}
simulation = example()


@pytest.fixture(scope="session")
def full() -> pd.DataFrame:
    """The simulation in its described size."""
    frame: pd.DataFrame = simulation.simulate()
    return frame


@pytest.fixture(scope="session")
def small() -> pd.DataFrame:
    """A simulation that takes no time."""
    frame: pd.DataFrame = simulation.simulate(**SMALL)
    return frame


def run(folder: Path, days: int = SMALL["days"], more: tuple[str, ...] = (), code: int = 0) -> str:
    """What the command says, where it ends well on standard output alone, when it makes a small simulation."""
    app = Typer()
    app.command()(simulation.main)
    size = ["--customers", str(SMALL["customers"]), "--terminals", str(SMALL["terminals"]), "--days", str(days)]
    result = CliRunner().invoke(app, [str(folder), *size, *more])
    assert result.exit_code == code, result.output
    return result.output if code else result.stdout


@pytest.mark.slow
def test_full_run_gives_the_described_figures(full: pd.DataFrame) -> None:
    """The described size gives 1,754,155 transactions and 14,681 frauds: 973, 9,077 and 4,631 by scenario."""
    assert len(full) == 1_754_155
    assert full["is_fraud"].sum() == 14_681
    assert full["scenario"].value_counts().to_dict() == {0: 1_739_474, 1: 973, 2: 9_077, 3: 4_631}


@pytest.mark.slow
def test_transactions_are_numbered_in_order_of_time(full: pd.DataFrame) -> None:
    """Transactions count from 0 in order of event time, within the 183 days from 2018-04-01."""
    assert full["transaction_id"].tolist() == list(range(len(full)))
    assert full["event_time"].is_monotonic_increasing
    assert full["event_time"].iloc[0] > pd.Timestamp("2018-04-01", tz="UTC")
    assert full["event_time"].iloc[-1] < pd.Timestamp("2018-10-01", tz="UTC")


@pytest.mark.slow
def test_large_amounts_are_always_fraud(full: pd.DataFrame) -> None:
    """Nothing above 220 is genuine, and scenario 1 marks nothing else."""
    assert (full.loc[full["amount"] > 220, "is_fraud"] == 1).all()
    assert (full.loc[full["scenario"] == 1, "amount"] > 220).all()


def test_payments_follow_the_described_draws(small: pd.DataFrame) -> None:
    """Drawing one by one as the description words it gives the same payments; only stolen cards pay other amounts."""
    expected = pd.DataFrame(draw_word_for_word(**SMALL), columns=["second", "customer_id", "terminal_id", "amount"])
    second = (small["event_time"] - pd.Timestamp("2018-04-01", tz="UTC")) // pd.Timedelta(seconds=1)
    assert second.tolist() == expected["second"].tolist()
    assert small["customer_id"].tolist() == expected["customer_id"].tolist()
    assert small["terminal_id"].tolist() == expected["terminal_id"].tolist()
    stolen = small["scenario"] == 3
    assert small["amount"][~stolen].tolist() == expected["amount"][~stolen].tolist()
    # A card can be stolen again while it still is: times 5 each time.
    times = (small["amount"][stolen] / expected["amount"][stolen]).round(6)
    assert set(times) <= {5.0**n for n in range(1, 15)}
    assert 5.0 in set(times)


def draw_word_for_word(customers: int, terminals: int, days: int) -> list[tuple[int, int, int, float]]:
    """The slow obvious way: (second, customer, terminal, amount) in order of time, before the frauds."""
    draws = np.random.RandomState(0)
    people = [[draws.uniform(*span) for span in ((0, 100), (0, 100), (5, 100), (0, 4))] for _ in range(customers)]
    draws = np.random.RandomState(1)
    places = [(draws.uniform(0, 100), draws.uniform(0, 100)) for _ in range(terminals)]
    payments = []
    for customer, (x, y, mean, rate) in enumerate(people):
        draws, choose = np.random.RandomState(customer), random.Random(customer)
        reachable = [t for t, (there_x, there_y) in enumerate(places) if (there_x - x) ** 2 + (there_y - y) ** 2 < 25]
        for day in range(days):
            for _ in range(draws.poisson(rate)):
                second = int(draws.normal(43_200, 20_000))
                if 0 < second < 86_400:
                    amount = draws.normal(mean, mean / 2)
                    if amount < 0:
                        amount = draws.uniform(0, 2 * mean)
                    if reachable:
                        payment = day * 86_400 + second, customer, choose.choice(reachable), np.round(amount, 2)
                        payments.append(payment)
    return sorted(payments, key=lambda payment: payment[0])


def test_a_compromised_terminal_takes_only_frauds(small: pd.DataFrame) -> None:
    """From a day on which a terminal is drawn, all that is paid there in 28 days is fraud."""
    day = (small["event_time"] - pd.Timestamp("2018-04-01", tz="UTC")).dt.days
    for first in range(SMALL["days"] - 1):
        drawn = pd.Series(range(SMALL["terminals"])).sample(n=2, random_state=first)
        hit = small[small["terminal_id"].isin(drawn) & day.between(first, first + 27)]
        assert hit["scenario"].isin([2, 3]).all()


def test_a_new_kind_of_fraud_changes_no_other_payment(small: pd.DataFrame) -> None:
    """From its first day on some payments are of scenario 4, one to two units and fraud; all others are what they are without."""
    drifting = simulation.simulate(**SMALL, new_fraud_from=12)
    tried = drifting["scenario"] == 4
    day = (drifting["event_time"] - pd.Timestamp("2018-04-01", tz="UTC")).dt.days
    assert tried.sum() > 100
    assert day[tried].min() == 12
    assert drifting["amount"][tried].between(1, 2).all()
    assert (drifting["is_fraud"][tried] == 1).all()
    pd.testing.assert_frame_equal(drifting[~tried], small[~tried])
    payment = ["transaction_id", "event_time", "customer_id", "terminal_id"]
    pd.testing.assert_frame_equal(drifting[payment], small[payment])


def test_a_card_is_tried_for_two_weeks() -> None:
    """A card that is drawn on the first day alone has no trial before it, nor 14 days later."""
    first, days = 20, 40
    drifting = simulation.simulate(**{**SMALL, "customers": 400, "days": days}, new_fraud_from=first)
    day = (drifting["event_time"] - pd.Timestamp("2018-04-01", tz="UTC")).dt.days
    drawn = [tried_on(started, 400) for started in range(first, days)]
    alone = drifting["customer_id"].isin(drawn[0] - set().union(*drawn[1:]))
    tried = drifting["scenario"] == 4
    assert day[alone & tried].between(first, first + 13).all()
    assert set(drifting["customer_id"][tried]) <= set().union(*drawn)


def test_half_of_what_a_tried_card_pays_is_fraud() -> None:
    """On the first day half of what the six cards pay, rounded down, is of scenario 4, and nothing else is."""
    first, customers = 5, 60
    paid_by, tried = list[int](), list[int]()
    for begins in range(first, first + 8):  # six cards pay a dozen times a day, some days seldom
        drifting = simulation.simulate(**{**SMALL, "customers": customers, "days": begins + 1}, new_fraud_from=begins)
        day = (drifting["event_time"] - pd.Timestamp("2018-04-01", tz="UTC")).dt.days
        own = drifting["customer_id"].isin(tried_on(begins, customers)) & (day == begins)
        assert not (drifting["scenario"][~own] == 4).any()
        paid_by.append(int(own.sum()))
        tried.append(int((drifting["scenario"] == 4).sum()))
    assert tried == [count // 2 for count in paid_by]
    assert sum(tried) > 20


def tried_on(day: int, customers: int) -> set[int]:
    """The cards whose trial begins on a day."""
    return set(np.random.default_rng([4, day]).choice(customers, 6, replace=False).tolist())


def test_without_a_new_kind_of_fraud_nothing_says_so(small: pd.DataFrame, tmp_path: Path) -> None:
    """Files that were simulated before there was a new kind are still those of the same parameters; those with it are others."""
    assert small.attrs == {"model": 1, **SMALL}
    simulation.write(small, tmp_path)
    assert simulation.already_written(tmp_path, simulation.parameters(**SMALL))
    assert not simulation.already_written(tmp_path, simulation.parameters(**SMALL, new_fraud_from=12))
    assert "transactions" in run(tmp_path, more=("--new-fraud-from", "12"))
    assert simulation.already_written(tmp_path, simulation.parameters(**SMALL, new_fraud_from=12))


@pytest.mark.parametrize("day", [-1, 30])
def test_a_new_kind_of_fraud_begins_on_a_simulated_day(day: int, tmp_path: Path) -> None:
    """Another day is refused, with those that there are, by the command in a usage error."""
    with pytest.raises(ValueError, match=f"0 to 29; got new_fraud_from={day}; take one of these"):
        simulation.simulate(**SMALL, new_fraud_from=day)
    said = run(tmp_path, more=("--new-fraud-from", str(day)), code=2).replace("│", " ")
    assert f"0 to 29; got new_fraud_from={day}" in " ".join(said.split())
    assert not list(tmp_path.iterdir())


def test_same_parameters_give_the_same_frame(small: pd.DataFrame) -> None:
    """A second run gives the same frame, whatever state the global generators are in."""
    random.seed(7)
    np.random.seed(7)
    pd.testing.assert_frame_equal(simulation.simulate(**SMALL), small)
    drifting = simulation.simulate(**SMALL, new_fraud_from=12)
    pd.testing.assert_frame_equal(simulation.simulate(**SMALL, new_fraud_from=12), drifting)


def test_progress_counts_the_customers() -> None:
    """Whoever follows the run hears of every customer in turn."""
    heard: list[int] = []
    simulation.simulate(**SMALL, on_progress=heard.append)
    assert heard == list(range(1, SMALL["customers"] + 1))


def test_too_small_a_simulation_is_refused() -> None:
    """Where a day's frauds cannot be drawn, the error says what came and what to write instead."""
    with pytest.raises(ValueError, match="got customers=2, terminals=100, days=30; raise them to 3, 2 and 1"):
        simulation.simulate(**{**SMALL, "customers": 2})


def test_files_have_the_documented_columns(small: pd.DataFrame, tmp_path: Path) -> None:
    """The folder holds the two files, with exact types, and nothing unfinished."""
    simulation.write(small, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.parquet", "transactions.parquet"]
    keys = [
        ("transaction_id", "int64"),
        ("event_time", "timestamp[ms, tz=UTC]"),
        ("customer_id", "int64"),
        ("terminal_id", "int64"),
    ]
    assert columns_of(tmp_path / "transactions.parquet") == [*keys, ("amount", "decimal128(12, 2)")]
    assert columns_of(tmp_path / "labels.parquet") == [*keys, ("is_fraud", "int64"), ("scenario", "int64")]


def columns_of(path: Path) -> list[tuple[str, str]]:
    """Names and types of a Parquet file's columns."""
    return [(field.name, str(field.type)) for field in pq.read_schema(path)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transactions.parquet", "labels.parquet"])
def test_files_are_in_order(full: pd.DataFrame, tmp_path: Path, name: str) -> None:
    """Rows stand in order of event time, then of transaction id."""
    simulation.write(full, tmp_path)
    rows = pq.read_table(tmp_path / name, columns=["event_time", "transaction_id"])
    assert rows.num_rows == len(full)
    assert rows.equals(rows.sort_by([("event_time", "ascending"), ("transaction_id", "ascending")]))


def test_amounts_are_exact_to_the_cent(small: pd.DataFrame, tmp_path: Path) -> None:
    """The decimal in the file is the amount in the frame, as its two places are printed."""
    simulation.write(small, tmp_path)
    amounts = pq.read_table(tmp_path / "transactions.parquet")["amount"].to_pylist()
    assert amounts == [Decimal(f"{amount:.2f}") for amount in small["amount"]]


def test_labels_come_seven_days_later(small: pd.DataFrame, tmp_path: Path) -> None:
    """Each transaction has one label, with the same ids, exactly 7 days after it."""
    simulation.write(small, tmp_path)
    transactions = pq.read_table(tmp_path / "transactions.parquet").to_pandas()
    labels = pq.read_table(tmp_path / "labels.parquet").to_pandas()
    ids = ["transaction_id", "customer_id", "terminal_id"]
    pd.testing.assert_frame_equal(labels[ids], transactions[ids])
    assert (labels["event_time"] - transactions["event_time"] == pd.Timedelta(days=7)).all()
    assert labels["is_fraud"].tolist() == small["is_fraud"].tolist()
    assert labels["scenario"].tolist() == small["scenario"].tolist()


def test_command_ends_with_a_summary(small: pd.DataFrame, tmp_path: Path) -> None:
    """The command writes both files and says in one line how many transactions and frauds they hold."""
    said = run(tmp_path / "new")
    assert said.startswith(f"{len(small):,} transactions, {small['is_fraud'].sum():,} frauds in {tmp_path / 'new'}")
    assert said.count("\n") == 1
    assert pq.read_metadata(tmp_path / "new" / "labels.parquet").num_rows == len(small)


def test_command_reuses_the_same_simulation(tmp_path: Path) -> None:
    """A second run with the same parameters says so and leaves both files untouched."""
    run(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert run(tmp_path) == f"{tmp_path} already holds this simulation; nothing to do\n"
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_command_replaces_another_simulation(tmp_path: Path) -> None:
    """Files of other parameters, or one file alone, are not taken for the simulation that is wanted."""
    run(tmp_path, days=10)
    assert "transactions" in run(tmp_path)
    (tmp_path / "labels.parquet").unlink()
    assert "transactions" in run(tmp_path)
    assert (tmp_path / "labels.parquet").exists()


def test_a_broken_write_leaves_what_was_there(small: pd.DataFrame, tmp_path: Path) -> None:
    """When rows cannot be written, the earlier files stay whole and nothing unfinished is left."""
    simulation.write(small, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(pa.ArrowInvalid):
        simulation.write(small.assign(amount=1e12), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
