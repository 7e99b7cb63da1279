"""Simulated card transactions with known frauds: the data of the fraud example.

The model is the one that chapter 3 of the Fraud Detection Handbook describes (Le Borgne, Siblini, Lebichot, Bontempi,
2022, https://fraud-detection-handbook.github.io). This is written from that description; none of its code is used.
The order of the random draws is part of the description: with the default size the same transactions come out.

    python examples/fraud/simulate.py OUT_DIR

The description's frauds are the same from the first day to the last. With ``--new-fraud-from DAY`` there is one thing more, which
is not the description's: a new kind of fraud begins on that day, and models that learnt before it do not know it.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

START = np.datetime64("2018-04-01", "ms")
SECONDS_PER_DAY = 86_400
REACH = 5.0
"""A customer pays at the terminals nearer than this, on a map of 100 by 100."""
LABEL_DELAY = timedelta(days=7)
"""A fraud is known this long after its transaction."""
NEW_SCENARIO, TRIED_CARDS, TRIED_DAYS, TRIED_CENTS = 4, 6, 14, (1_00, 2_00)
"""The new kind of fraud: so many cards a day are tried out for so many days, with amounts from the one to the other."""

MODEL_VERSION = 1
"""Raised with every change of what the same parameters give, so that older files are made anew."""
PARAMETERS_KEY = b"headrace.simulation"

KEYS = {
    "transaction_id": pa.int64(),
    "event_time": pa.timestamp("ms", tz="UTC"),
    "customer_id": pa.int64(),
    "terminal_id": pa.int64(),
}
FILES = {
    "transactions.parquet": pa.schema({**KEYS, "amount": pa.decimal128(12, 2)}),
    "labels.parquet": pa.schema({**KEYS, "is_fraud": pa.int64(), "scenario": pa.int64()}),
}

Integers = np.ndarray[Any, np.dtype[np.int64]]
Places = np.ndarray[Any, np.dtype[np.float64]]


class Customer(NamedTuple):
    """Where a customer lives, and how much and how often they pay."""

    x: float
    y: float
    mean_amount: float
    transactions_per_day: float


class Payments(NamedTuple):
    """Columns of equal length, a row for each transaction; `second` counts from the start."""

    second: Integers
    customer_id: Integers
    terminal_id: Integers
    cents: Integers


def simulate(
    customers: int = 5000,
    terminals: int = 10_000,
    days: int = 183,
    on_progress: Callable[[int], None] | None = None,
    new_fraud_from: int | None = None,
) -> pd.DataFrame:
    """The transactions of `days` days from 2018-04-01 in order of event time, each with its label.

    Columns: transaction_id (from 0), event_time (UTC, whole seconds), customer_id, terminal_id, amount (rounded to
    cents), is_fraud (0 or 1) and scenario (0 for none, else the last of 1, 2, 3, 4 that marked it; 4 only with
    `new_fraud_from`, the day, from 0, on which that begins: `try_cards`). The same parameters always give the same frame;
    they are in its `attrs`, from where `write` takes them. `on_progress` is told after each customer how many are done.
    Raises ValueError where there are too few to draw the frauds from, and for a `new_fraud_from` that is none of the days.
    """
    if customers < 3 or terminals < 2 or days < 1:
        raise ValueError(
            "a simulation draws 3 customers and 2 terminals for a day's frauds; "
            f"got customers={customers}, terminals={terminals}, days={days}; raise them to 3, 2 and 1 or more"
        )
    if new_fraud_from is not None and not 0 <= new_fraud_from < days:
        raise ValueError(
            f"a new kind of fraud begins on one of the simulated days, 0 to {days - 1}; got new_fraud_from={new_fraud_from}; "
            "take one of these, or leave it out"
        )
    payments = make_payments(customers, place_terminals(terminals), days, on_progress)
    scenario = commit_frauds(payments, customers, terminals, days)
    if new_fraud_from is not None:
        try_cards(payments, scenario, customers, new_fraud_from, days)
    frame = pd.DataFrame(
        {
            "transaction_id": np.arange(len(scenario)),
            "event_time": pd.Series(START + payments.second * np.timedelta64(1000, "ms")).dt.tz_localize("UTC"),
            "customer_id": payments.customer_id,
            "terminal_id": payments.terminal_id,
            "amount": payments.cents / 100,
            "is_fraud": (scenario > 0).astype(np.int64),
            "scenario": scenario,
        }
    )
    frame.attrs = parameters(customers, terminals, days, new_fraud_from)
    return frame


def parameters(customers: int, terminals: int, days: int, new_fraud_from: int | None = None) -> dict[Any, Any]:
    """What decides every value of a simulation, as it stands in the frame's `attrs` and in the files."""
    drift = {} if new_fraud_from is None else {"new_fraud_from": new_fraud_from}
    return {"model": MODEL_VERSION, "customers": customers, "terminals": terminals, "days": days, **drift}


def place_terminals(count: int) -> Places:
    """The terminals, by id: rows of x and y."""
    return np.random.RandomState(1).uniform(0, 100, (count, 2))


def draw_customers(count: int) -> list[Customer]:
    """The customers, by id."""
    low, high = Customer(0, 0, 5, 0), Customer(100, 100, 100, 4)
    # An array of draws takes the same numbers from the generator, in the same order, as one call for each.
    return [Customer(*row) for row in np.random.RandomState(0).uniform(low, high, (count, len(low))).tolist()]


def make_payments(customers: int, terminals: Places, days: int, on_progress: Callable[[int], None] | None) -> Payments:
    """Everyone's transactions, none of them a fraud yet, in order of time."""
    of_each = []
    for customer_id, customer in enumerate(draw_customers(customers)):
        of_each.append(payments_of(customer_id, customer, terminals, days))
        if on_progress:
            on_progress(customer_id + 1)
    columns = [np.concatenate(column) for column in zip(*of_each, strict=True)]
    # Customers stand one after the other here: a stable sort keeps that order within a second.
    in_time = np.argsort(columns[0], kind="stable")
    return Payments(*(column[in_time] for column in columns))


def payments_of(customer_id: int, customer: Customer, terminals: Places, days: int) -> Payments:
    """One customer's transactions, in the order in which they are drawn; none where no terminal is within reach."""
    away = terminals - (customer.x, customer.y)
    within_reach = np.flatnonzero(np.sqrt((away**2).sum(axis=1)) < REACH).tolist()
    # Every customer has generators of their own, so what one does not draw changes nothing for the others.
    seconds, amounts = draw_payments(customer_id, customer, days) if within_reach else ([], [])
    choice = random.Random(customer_id).choice
    return Payments(
        second=np.array(seconds, np.int64),
        customer_id=np.full(len(seconds), customer_id, np.int64),
        terminal_id=np.array([choice(within_reach) for _ in seconds], np.int64),
        cents=np.rint(np.array(amounts) * 100).astype(np.int64),
    )


def draw_payments(customer_id: int, customer: Customer, days: int) -> tuple[list[int], list[float]]:
    """When a customer pays, in seconds since the start, and how much, not yet rounded.

    Each draw decides which one comes next, so they are made one by one: most of the simulation's time goes here.
    """
    generator = np.random.RandomState(customer_id)
    poisson, normal = generator.poisson, generator.normal
    mean, deviation, rate = customer.mean_amount, customer.mean_amount / 2, customer.transactions_per_day
    seconds, amounts = [], []
    for day in range(days):
        for _ in range(poisson(rate)):
            second = int(normal(SECONDS_PER_DAY / 2, 20_000))
            if not 0 < second < SECONDS_PER_DAY:
                continue
            amount = normal(mean, deviation)
            if amount < 0:
                amount = generator.uniform(0, 2 * mean)
            seconds.append(day * SECONDS_PER_DAY + second)
            amounts.append(amount)
    return seconds, amounts


def commit_frauds(payments: Payments, customers: int, terminals: int, days: int) -> Integers:
    """The scenario of each transaction, 0 for none; raises the amounts of scenario 3 in place.

    1. An amount above 220.
    2. Every day but the last, two terminals are compromised for 28 days: all that is paid there.
    3. Every day but the last, three customers' cards are stolen for 14 days: a third of what they pay, times 5.

    A later scenario, and a later day of one, overwrites what an earlier one marked.
    """
    day = payments.second // SECONDS_PER_DAY
    scenario = (payments.cents > 220_00).astype(np.int64)
    for first_day in range(days - 1):
        compromised = pd.Series(range(terminals)).sample(n=2, random_state=first_day)
        scenario[rows_of(compromised, payments.terminal_id, day, first_day, 28)] = 2
    for first_day in range(days - 1):
        robbed = pd.Series(range(customers)).sample(n=3, random_state=first_day)
        rows = rows_of(robbed, payments.customer_id, day, first_day, 14).tolist()
        stolen = random.Random(first_day).sample(rows, len(rows) // 3)
        payments.cents[stolen] *= 5
        scenario[stolen] = 3
    return scenario


def try_cards(payments: Payments, scenario: Integers, customers: int, first_day: int, days: int) -> None:
    """Mark scenario 4 in place, and set its amounts: from the first day on, six cards a day are tried out for 14 days.

    Half of what such a card pays then is a thief's, who looks with one to two euros whether it still works: whatever the card
    usually pays, and less than any fraud of before. The draws are of generators of their own, so that all other payments are
    what they are without it. It overwrites what the other scenarios marked.
    """
    day = payments.second // SECONDS_PER_DAY
    for started in range(first_day, days):
        generator = np.random.default_rng([NEW_SCENARIO, started])
        tried = pd.Series(generator.choice(customers, min(TRIED_CARDS, customers), replace=False))
        rows = rows_of(tried, payments.customer_id, day, started, TRIED_DAYS)
        own = generator.choice(rows, len(rows) // 2, replace=False)
        payments.cents[own] = generator.integers(*TRIED_CENTS, len(own), endpoint=True)
        scenario[own] = NEW_SCENARIO


def rows_of(ids: pd.Series[int], column: Integers, day: Integers, first_day: int, days: int) -> Integers:
    """The rows, in order, whose column holds one of the ids, within `days` days from the first."""
    # Rows are in order of time, so a span of days is a slice.
    start, end = np.searchsorted(day, [first_day, first_day + days])
    return np.flatnonzero(np.isin(column[start:end], ids)) + int(start)


def write(frame: pd.DataFrame, folder: Path) -> None:
    """Write what `simulate` gave as transactions.parquet and labels.parquet; a reader sees a whole file or none."""
    folder.mkdir(parents=True, exist_ok=True)
    late = frame.assign(event_time=frame["event_time"] + LABEL_DELAY)
    for (name, schema), rows in zip(FILES.items(), (frame, late), strict=True):
        table = pa.Table.from_pandas(rows[schema.names], preserve_index=False).cast(schema)
        table = table.replace_schema_metadata({PARAMETERS_KEY: json.dumps(frame.attrs)})
        unfinished = folder / f".{name}.{os.getpid()}"
        try:
            pq.write_table(table, unfinished)
            os.replace(unfinished, folder / name)
        finally:
            unfinished.unlink(missing_ok=True)


def already_written(folder: Path, wanted: dict[Any, Any]) -> bool:
    """Whether both files are there and hold the simulation of these `parameters`."""
    return all((folder / name).exists() and parameters_in(folder / name) == wanted for name in FILES)


def parameters_in(path: Path) -> Any:
    """The parameters a Parquet file was simulated from; None where it was not."""
    return json.loads((pq.read_schema(path).metadata or {}).get(PARAMETERS_KEY, b"null"))


def main(
    out_dir: Annotated[Path, typer.Argument(help="Where transactions.parquet and labels.parquet go.")],
    customers: Annotated[int, typer.Option(min=3)] = 5000,
    terminals: Annotated[int, typer.Option(min=2)] = 10_000,
    days: Annotated[int, typer.Option(min=1)] = 183,
    new_fraud_from: Annotated[
        int | None,
        typer.Option(
            help="From this day on, the first is 0, there is a new kind of fraud; none: there never is.", show_default=False
        ),
    ] = None,
) -> None:
    """Simulate card transactions with known frauds, unless the same ones are there already."""
    if already_written(out_dir, parameters(customers, terminals, days, new_fraud_from)):
        typer.echo(f"{out_dir} already holds this simulation; nothing to do")
        return
    began = time.perf_counter()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("Customers", total=customers)
        try:
            frame = simulate(customers, terminals, days, lambda done: progress.update(task, completed=done), new_fraud_from)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        progress.update(task, description="Writing")
        write(frame, out_dir)
    took = time.perf_counter() - began
    typer.echo(f"{len(frame):,} transactions, {frame['is_fraud'].sum():,} frauds in {out_dir} ({took:.1f} s)")


if __name__ == "__main__":
    typer.run(main)
