"""Feast's own calls over sources that are no files of this machine: a database's table, an object store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.support.shop import NOON, definitions, shop_project

if TYPE_CHECKING:
    from feast import FeatureStore

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A client of a shop whose orders are in SQLite, and whose offers are in a store that fsspec knows."""
    import fsspec
    from feast import FeatureStore

    folder = shop_project(tmp_path_factory.mktemp("places") / "the shop")
    _into_sqlite(folder)
    with fsspec.open("memory://shop/offers.parquet", "wb") as file:
        file.write((folder / "data" / "offers.parquet").read_bytes())
    for name in ("orders", "offers"):
        (folder / "data" / f"{name}.parquet").unlink()
    text = (folder / "definitions.py").read_text()
    text = text.replace("data/orders.parquet", "sqlite:///data/shop.db#orders")
    (folder / "definitions.py").write_text(text.replace("data/offers.parquet", "memory://shop/offers.parquet"))
    FeatureStore(repo_path=str(folder)).apply(definitions(folder))
    return FeatureStore(repo_path=str(folder))


def _into_sqlite(folder: Path) -> None:
    orders = pq.read_table(folder / "data" / "orders.parquet")
    rows = [{**row, "at": row["at"].isoformat(), "price": str(row["price"])} for row in orders.to_pylist()]
    types = {"int64": "INTEGER", "double": "REAL"}
    columns = ", ".join(f"{field.name} {types.get(str(field.type), 'TEXT')}" for field in orders.schema)
    marks = ", ".join("?" * len(orders.schema))
    with sqlite3.connect(folder / "data" / "shop.db") as database:  # pandas' to_sql changes SQLite's types for all of the process
        database.execute(f"CREATE TABLE orders ({columns})")
        database.executemany(f"INSERT INTO orders VALUES ({marks})", [tuple(row.values()) for row in rows])


def test_entity_rows_in_sql_see_a_table_of_a_database(store: FeatureStore) -> None:
    """By the name of its source, and its windows are read from there too."""
    at = "CAST(orders.at AS TIMESTAMPTZ) AS event_timestamp"
    sql = f"SELECT buyer_id, {at}, order_id FROM orders WHERE buyer_id = 1 ORDER BY order_id"
    for written in (sql, sql.replace("FROM orders", "FROM Orders")):
        found = store.get_historical_features(written, ["spend:count"]).to_df()
        assert found["order_id"].tolist() == [0, 1, 3, 4, 5]
        assert found["count"].tolist() == [1, 2, 3, 3, 3]


def test_rows_of_a_view_come_from_an_object_store(store: FeatureStore) -> None:
    """As of a row, in a span of times, and in the SQL of entity rows."""
    rows = pd.DataFrame({"event_timestamp": [NOON], "product": ["tea"]})
    assert store.get_historical_features(rows, ["offers:stock"]).to_df()["stock"].tolist() == [2**60 + 1]
    sql = "SELECT product, CAST(since AS TIMESTAMPTZ) AS event_timestamp FROM offers_file"
    assert store.get_historical_features(sql, ["offers:stock"]).to_df()["stock"].tolist() == [2**60 + 1]
