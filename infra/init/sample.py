"""Sample events: orders of a made-up shop, of four weeks, and whether each was returned. The same every time."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from features.times import day_ms
from infra.init.columns import Column
from infra.init.proposal import Days, Label, Proposal

FIRST_DAY = date(2026, 1, 5)
DAYS = 28
ACCOUNTS = 80
RETURNED_AFTER = timedelta(days=3)
"""When it is known whether an order was returned."""
HISTORY, OUTCOMES, NEW = "data/orders.parquet", "data/orders_labels.parquet", "data/new_orders.jsonl"

PROPOSAL = Proposal(
    topic="orders",
    columns=(
        Column("order_id", "long"),
        Column("event_time", "timestamp"),
        Column("account_id", "string"),
        Column("channel", "string"),
        Column("amount", "decimal(10,2)"),
        Column("items", "long"),
    ),
    time="event_time",
    id="order_id",
    key="account_id",
    history=HISTORY,
    label=Label("returned", "boolean", OUTCOMES),
    days=Days(FIRST_DAY + timedelta(days=7), 7, 7, 7),
)


class Order(NamedTuple):
    """An event, and what became of it."""

    event_time: int
    account_id: str
    channel: str
    amount: Decimal
    items: int
    returned: bool


def write(folder: Path) -> None:
    """Write the history, its outcomes, and to be published the orders of the day after, into a project that is there."""
    orders = sorted(_orders(random.Random(0)))  # noqa: S311 - nothing secret
    end = day_ms(FIRST_DAY + timedelta(days=DAYS))
    history = [order for order in orders if order.event_time < end]
    ids = pa.array(range(1, len(history) + 1), pa.int64())
    columns: dict[str, Any] = {
        "order_id": ids,
        "event_time": _times([order.event_time for order in history]),
        "account_id": [order.account_id for order in history],
        "channel": [order.channel for order in history],
        "amount": pa.array([order.amount for order in history], pa.decimal128(10, 2)),
        "items": pa.array([order.items for order in history], pa.int64()),
    }
    pq.write_table(pa.table(columns), folder / HISTORY)
    known = [order.event_time + RETURNED_AFTER // timedelta(milliseconds=1) for order in history]
    outcomes = {"order_id": ids, "event_time": _times(known), "returned": [order.returned for order in history]}
    pq.write_table(pa.table(outcomes), folder / OUTCOMES)
    encode = msgspec.json.Encoder(decimal_format="number").encode
    new = [_event(number, order) for number, order in enumerate(orders, 1) if order.event_time >= end]
    (folder / NEW).write_bytes(b"".join(encode(event) + b"\n" for event in new))


def _orders(chance: random.Random) -> list[Order]:
    """Orders that are returned more often on a day of many, and where they are much above what the account spends."""
    found = []
    for account in range(1, ACCOUNTS + 1):
        usual, often = chance.uniform(15, 120), chance.uniform(0.3, 4)
        for day in range(DAYS + 1):
            spree = chance.random() < 0.04
            for _ in range(round(chance.expovariate(1 / (often + 6 * spree)))):
                amount = usual * chance.lognormvariate(0, 0.5)
                returned = chance.random() < 0.05 + 0.45 * spree + 0.3 * (amount > 2 * usual)
                moment = day_ms(FIRST_DAY + timedelta(days=day)) + chance.randrange(86_400_000)
                channel = chance.choice(("web", "app", "phone"))
                items = chance.randint(1, 3 + 3 * spree)
                found.append(Order(moment, f"a{account:03}", channel, Decimal(round(amount * 100)) / 100, items, returned))
    return found


def _event(number: int, order: Order) -> dict[str, Any]:
    """As a topic has it: no word of what became of it."""
    moment = datetime.fromtimestamp(order.event_time / 1000, UTC).isoformat(timespec="milliseconds")
    values = order._asdict() | {"event_time": moment.replace("+00:00", "Z")}
    return {"order_id": number, **{name: value for name, value in values.items() if name != "returned"}}


def _times(milliseconds: list[int]) -> pa.Array:
    return pa.array(milliseconds, pa.timestamp("ms", tz="UTC"))
