"""A small project with two stream views and a Feast store of any kind, for what is written to the online store."""

from __future__ import annotations

from pathlib import Path

DEFINITIONS = """
from datetime import timedelta

from feast import Aggregation, Entity, FeatureService, FileSource, KafkaSource, StreamFeatureView
from feast.data_format import JsonFormat

account = Entity(name="account", join_keys=["account_id"])
shops = Entity(name="shops", join_keys=["shop"])
product = Entity(name="product", join_keys=["product"])
orders = KafkaSource(
    name="orders",
    topic="orders",
    kafka_bootstrap_servers="",
    timestamp_field="at",
    message_format=JsonFormat(
        schema_json="order_id string, at timestamp, account_id long, shop string, product long, price decimal(12,2), gift boolean"
    ),
    batch_source=FileSource(path="data/orders.parquet", timestamp_field="at"),
    tags={"event_id": "order_id"},
)


def over(hours, *functions):
    window = timedelta(hours=hours)
    return [Aggregation(column=of, function=f, time_window=window, name=f"{f}_{of}") for f, of in functions]


account_orders = StreamFeatureView(
    name="account_orders",
    entities=[account],
    source=orders,
    timestamp_field="at",
    aggregations=over(1, ("count", "price"), ("mean", "price"), ("last_3", "price"), ("last", "gift"), ("last", "at")),
)
product_orders = StreamFeatureView(
    name="product_orders",
    entities=[shops, product],
    source=orders,
    timestamp_field="at",
    aggregations=over(24, ("count", "price"), ("max", "price")),
)
account_gifts = StreamFeatureView(
    name="account_gifts", entities=[account], source=orders, timestamp_field="at", aggregations=over(48, ("count", "gift"))
)
shop = FeatureService(
    name="shop", features=[account_orders[["count_price", "mean_price"]], product_orders, account_gifts], tags={"spine": "orders"}
)
"""
"""Feast's definitions of it."""

SQLITE = "type: {kind}\n  path: online store.db"
REDIS = 'type: {kind}\n  connection_string: "127.0.0.1:{port}"'


def make_shop(folder: Path, online_store: str) -> Path:
    """The project in ``folder``; ``online_store`` are the lines of the store's settings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "definitions.py").write_text(DEFINITIONS)
    (folder / "feature_store.yaml").write_text(
        "project: shop\nprovider: local\nregistry: registry.db\n"
        f"online_store:\n  {online_store}\nentity_key_serialization_version: 3\n"
    )
    return folder
