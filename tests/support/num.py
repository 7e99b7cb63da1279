"""A small project with data and a model: numbers by key, windows of one hour, and labels a day later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.inputs.columns import input_columns
from tests.support.models import register, stumps

T = 1_714_550_400_000
"""2024-05-01 08:00 UTC, in milliseconds: the first event's time."""
DAYS = 4
ROWS_A_DAY = 12

DEFINITIONS = """
from datetime import timedelta

from feast import Aggregation, Entity, FeatureService, Field, FileSource, KafkaSource, RequestSource, StreamFeatureView
from feast.data_format import JsonFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64
from feast.value_type import ValueType

key = Entity(name="key", join_keys=["k"], value_type=ValueType.STRING)


def source(name, schema):
    return KafkaSource(
        name=name,
        topic=name,
        kafka_bootstrap_servers="",
        timestamp_field="at",
        message_format=JsonFormat(schema_json=schema),
        batch_source=FileSource(name=f"{name}_history", path=f"data/{name}.parquet", timestamp_field="at"),
        watermark_delay_threshold=timedelta(0),
        tags={"event_id": "id"},
    )


num = source("num", "id long, at timestamp, k string, v decimal(18,2), c string, n long, d double")
outcomes = source("outcomes", "id long, at timestamp, bad long")
totals = StreamFeatureView(
    name="totals",
    entities=[key],
    source=num,
    timestamp_field="at",
    aggregations=[
        Aggregation(column=column, function=function, time_window=timedelta(hours=1), name=f"{function}_{column}")
        for function, column in (("sum", "v"), ("count", "id"), ("sum", "n"), ("max", "d"), ("last_2", "d"))
    ],
)
asked = RequestSource(name="asked", schema=[Field(name="d", dtype=Float64)])


@on_demand_feature_view(sources=[asked], mode="python", schema=[Field(name="twice", dtype=Float64)])
def doubled(inputs):
    return {"twice": [None if d is None else 2 * d for d in inputs["d"]]}


service = FeatureService(name="num", features=[totals, doubled], tags={"spine": "num"})
"""
SETTINGS = f"""
services = ["num"]

[kafka]
bootstrap = "127.0.0.1:1" # where nothing listens

[train.num]
label = "outcomes.bad"
trees = 2

[run]
service = "num"
train_from = {datetime.fromtimestamp(T / 1000, UTC):%Y-%m-%d}
train_days = 1
start = {datetime.fromtimestamp(T / 1000, UTC) + timedelta(days=2):%Y-%m-%d}
days = 1
"""
FEAST = """
project: num
provider: local
registry: data/registry.db
online_store:
  type: sqlite
  path: data/online.db
entity_key_serialization_version: 3
"""


def num_project(folder: Path) -> Path:
    """The project in ``folder``, with a model that has the alias production."""
    (folder / "data").mkdir(parents=True)
    (folder / "definitions.py").write_text(DEFINITIONS)
    (folder / "headrace.toml").write_text(SETTINGS)
    (folder / "feature_store.yaml").write_text(FEAST)
    rows = numbers()
    pq.write_table(rows, folder / "data" / "num.parquet")
    known = [at + timedelta(days=1) for at in rows["at"].to_pylist()]
    outcomes = {
        "id": rows["id"],
        "at": pa.array(known, pa.timestamp("ms", tz="UTC")),
        "bad": [i % 3 // 2 for i in range(len(rows))],
    }
    pq.write_table(pa.table(outcomes), folder / "data" / "outcomes.parquet")
    from features.definitions.load import load

    plan = load(folder).service("num").plan
    inputs = input_columns(plan, plan.inputs)
    register(folder / "models", plan, stumps([0.1] * len(inputs)), inputs=inputs)
    return folder


def numbers() -> pa.Table:
    """The history of the source ``num``: some rows an hour, of three keys."""
    first = datetime.fromtimestamp(T / 1000, UTC)
    ids = range(DAYS * ROWS_A_DAY)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "at": pa.array([first + timedelta(hours=24 * i / ROWS_A_DAY) for i in ids], pa.timestamp("ms", tz="UTC")),
            "k": pa.array([f"k{i % 3}" for i in ids]),
            "v": pa.array([Decimal(i) / 100 for i in ids], pa.decimal128(18, 2)),
            "c": pa.array(["é"] * len(ids)),
            "n": pa.array(ids, pa.int64()),
            "d": pa.array([i / 7 for i in ids], pa.float64()),
        }
    )
