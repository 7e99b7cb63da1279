"""A Feast project with every kind of view that the offline store knows, and its data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MS = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)

DEFINITIONS = """
import math
from datetime import timedelta

from feast import Aggregation, Entity, FeatureService, FeatureView, Field, FileSource, KafkaSource, RequestSource
from feast import StreamFeatureView
from feast.batch_feature_view import batch_feature_view
from feast.data_format import JsonFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int64
from feast.value_type import ValueType

buyer = Entity(name="buyer", join_keys=["buyer_id"], value_type=ValueType.INT64)
product = Entity(name="product", join_keys=["product"], value_type=ValueType.STRING)

orders = KafkaSource(
    name="orders",
    topic="orders",
    kafka_bootstrap_servers="",
    timestamp_field="at",
    message_format=JsonFormat(
        schema_json="order_id long, at timestamp, buyer_id long, product string, price decimal(12,2), size long, weight double"
    ),
    batch_source=FileSource(name="orders_history", path="data/orders.parquet", timestamp_field="at"),
    tags={"event_id": "order_id"},
)

HOUR = timedelta(hours=1)


def hourly(name, function, column):
    return Aggregation(name=name, function=function, column=column, time_window=HOUR)


spend = StreamFeatureView(
    name="spend",
    entities=[buyer],
    source=orders,
    timestamp_field="at",
    aggregations=[
        hourly("price", "sum", "price"),  # named like its column
        hourly("count", "count", "price"),
        hourly("size", "max", "size"),
        hourly("mean_weight", "mean", "weight"),
        hourly("times", "last_2", "at"),
    ],
)
sales = StreamFeatureView(
    name="sales",
    entities=[buyer, product],
    source=orders,
    timestamp_field="at",
    aggregations=[hourly("count", "count", "price")],
)
order = RequestSource(name="order", schema=[Field(name="at", dtype=Int64), Field(name="price", dtype=Float64)])


@on_demand_feature_view(sources=[spend[["count", "times"]], order], mode="python", schema=[Field(name="pause", dtype=Int64)])
def rhythm(inputs):
    assert math.isclose(HOUR.seconds, 3600)  # what a function uses of its module is there after the registry, too
    pairs = zip(inputs["at"], inputs["times"], strict=True)
    return {"pause": [at - times[0] if len(times) > 1 else None for at, times in pairs]}


@on_demand_feature_view(sources=[order], mode="pandas", schema=[Field(name="twice", dtype=Float64)])
def doubled(inputs):
    import pandas as pd

    return pd.DataFrame({"twice": inputs["price"].astype(float) * 2})


@on_demand_feature_view(sources=[order], mode="python", schema=[Field(name="thrice", dtype=Float64)])
def trebled(inputs):
    return {"thrice": [price * 3 for price in inputs["price"]]}


@batch_feature_view(
    mode="sql",
    entities=[buyer],
    source=FileSource(name="habits_days", path="data/habits.parquet", timestamp_field="day"),
    schema=[Field(name="mean_price", dtype=Float64), Field(name="orders", dtype=Int64)],
    ttl=timedelta(days=2),
    tags={"history": "orders"},
)
def habits():
    return "SELECT buyer_id, CAST(avg(price) AS DOUBLE) AS mean_price, count(*) AS orders FROM orders GROUP BY buyer_id"


offers = FeatureView(
    name="offers",
    entities=[product],
    source=FileSource(
        name="offers_file",
        path="data/offers.parquet",
        timestamp_field="since",
        created_timestamp_column="created",
        field_mapping={"px": "price"},
    ),
    schema=[Field(name="price", dtype=Float32), Field(name="stock", dtype=Int64)],
    ttl=timedelta(hours=1),
)

everything = FeatureService(
    name="everything", features=[spend[["price", "count"]], sales, rhythm, habits], tags={"spine": "orders"}
)
both = FeatureService(
    name="both",
    features=[
        spend[["price", "count"]].with_name("giver").with_join_key_map({"buyer_id": "giver_id"}),
        spend[["count"]].with_name("taker").with_join_key_map({"buyer_id": "taker_id"}),
        doubled.with_name("dear"),
    ],
)
"""
STORE = """
project: shop
provider: local
registry: data/registry.db
online_store:
  type: sqlite
  path: data/online.db
offline_store:
  type: jobs.history.feast_store.HeadraceOfflineStore
entity_key_serialization_version: 3
coerce_tz_aware: false
"""
ORDERS = (
    (-HOUR, 1, "tea", "1.10", 2**60, 0.5),
    (-HOUR + MS, 1, "tea", "2.20", 2**60 + 1, 1.5),
    (-2 * MS, 2, "ink", "3.30", None, None),
    (0 * MS, 1, "ink", "4.40", 7, 2.5),
    (0 * MS, 1, "tea", "5.50", 8, 3.5),
    (MS, 1, "tea", "6.60", 9, 4.5),
)
"""From noon, buyer, product, price, size and weight."""


def shop_project(folder: Path) -> Path:
    """The project in ``folder``, which is not yet applied."""
    (folder / "data").mkdir(parents=True)
    (folder / "definitions.py").write_text(DEFINITIONS)
    (folder / "feature_store.yaml").write_text(STORE)
    write_orders(folder, ORDERS)
    write_offers(folder, [(NOON - HOUR, NOON, "tea", 0.1, 2**60 + 1)])
    return folder


def write_orders(folder: Path, rows: Any) -> None:
    """The history of the orders."""
    since, buyers, products, prices, sizes, weights = zip(*rows, strict=True)
    table = {
        "order_id": pa.array(range(len(rows)), pa.int64()),
        "at": pa.array([NOON + offset for offset in since], pa.timestamp("us", "UTC")),
        "buyer_id": pa.array(buyers, pa.int64()),
        "product": pa.array(products, pa.string()),
        "price": pa.array(map(Decimal, prices), pa.decimal128(12, 2)),
        "size": pa.array(sizes, pa.int64()),
        "weight": pa.array(weights, pa.float64()),
    }
    pq.write_table(pa.table(table), folder / "data" / "orders.parquet")


def write_offers(folder: Path, rows: Any) -> None:
    """The rows of the view ``offers``: since when, when created, product, price, stock."""
    since, created, products, prices, stock = zip(*rows, strict=True)
    table = {
        "since": pa.array(since, pa.timestamp("ns", "UTC")),
        "created": pa.array(created, pa.timestamp("us", "UTC")),
        "product": pa.array(products, pa.string()),
        "px": pa.array(prices, pa.float32()),
        "stock": pa.array(stock, pa.int64()),
    }
    pq.write_table(pa.table(table), folder / "data" / "offers.parquet")


def definitions(folder: Path) -> list[Any]:
    """The project's Feast objects, as `FeatureStore.apply` takes them."""
    from feast import Entity, FeatureService
    from feast.base_feature_view import BaseFeatureView
    from feast.data_source import DataSource

    from features.definitions.definitions_file import run

    kinds = (DataSource, Entity, BaseFeatureView, FeatureService)
    return [value for value in vars(run(folder)).values() if isinstance(value, kinds)]
