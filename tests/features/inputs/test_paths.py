"""The same events on every path, history → training and batch score, message → scorer, request → HTTP: the same inputs and
scores, to the bit.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from features.definitions.load import load
from features.feast.cache import Cached
from features.feast.online import open_online_store
from features.inputs.arrow import table_matrix
from features.inputs.columns import input_columns
from features.inputs.matrix import Floats, matrix
from features.service import Service
from jobs.history.batch_views import materialize, push_online
from jobs.history.compute import compute, write
from jobs.predict.score import score_history
from schemas import FeatureVector, Origin, Prediction
from schemas.codec import decode_prediction
from serving.models.admit import admit
from serving.models.registry import Registry
from serving.models.session import load_model
from serving.predict.predictor import Predictor
from serving.predict.vector import Vectors
from tests.serving.http.support import serving
from tests.support.models import stumps

DEFINITIONS = '''
from datetime import timedelta

import numpy as np
from feast import Aggregation, Entity, FeatureService, Field, FileSource, KafkaSource, RequestSource, StreamFeatureView
from feast.batch_feature_view import batch_feature_view
from feast.data_format import JsonFormat, ParquetFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Bool, Float32, Float64, Int64
from feast.value_type import ValueType

shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.INT64)
orders = KafkaSource(
    name="orders",
    topic="orders",
    kafka_bootstrap_servers="",
    timestamp_field="at",
    message_format=JsonFormat(
        schema_json="id long, at timestamp, shop long, size long, price decimal(18,4), "
        "whole decimal(6,0), weight double, web boolean"
    ),
    batch_source=FileSource(name="orders_history", path="orders.parquet", file_format=ParquetFormat(), timestamp_field="at"),
    watermark_delay_threshold=timedelta(0),
    tags={"event_id": "id"},
)
AGGREGATIONS = {
    "size": ("last", "sum", "min", "count", "last_3"),
    "price": ("last", "sum", "mean", "last_3"),
    "whole": ("last", "sum", "last_2"),
    "weight": ("last", "max"),
    "web": ("last", "last_2"),
}
recent = StreamFeatureView(
    name="recent",
    entities=[shop],
    source=orders,
    timestamp_field="at",
    aggregations=[
        Aggregation(column=column, function=function, time_window=timedelta(days=3), name=f"{function}_{column}")
        for column, functions in AGGREGATIONS.items()
        for function in functions
    ],
)
order = RequestSource(
    name="order",
    schema=[Field(name="price", dtype=Float64), Field(name="size", dtype=Int64), Field(name="whole", dtype=Float64)],
)


@batch_feature_view(
    mode="sql",
    entities=[shop],
    source=FileSource(name="profile_days", path="profile.parquet", file_format=ParquetFormat(), timestamp_field="day"),
    schema=[
        Field(name="mean", dtype=Float64),
        Field(name="orders", dtype=Int64),
        Field(name="web", dtype=Bool),
        Field(name="nothing", dtype=Int64),
        Field(name="odd", dtype=Float64),
    ],
    tags={"history": "orders"},
)
def profile() -> str:
    """What was known of a shop at midnight."""
    return """
        SELECT shop, avg(price) AS mean, count(*) AS orders, bool_or(web) AS web,
               CASE WHEN shop = 1 THEN 2 END AS nothing, CASE WHEN shop = 1 THEN 'nan'::DOUBLE ELSE 0.5 END AS odd
        FROM orders GROUP BY shop
    """


@batch_feature_view(
    mode="sql",
    entities=[shop],
    source=FileSource(name="brief_days", path="brief.parquet", file_format=ParquetFormat(), timestamp_field="day"),
    schema=[Field(name="largest", dtype=Int64)],
    tags={"history": "orders"},
    ttl=timedelta(minutes=4),
)
def brief() -> str:
    """What is of use for four minutes after midnight."""
    return "SELECT shop, max(size) AS largest FROM orders GROUP BY shop"


@on_demand_feature_view(
    sources=[order, recent[["sum_size", "sum_whole", "last_web", "last_3_price", "mean_price"]], profile[["mean", "odd"]]],
    mode="python",
    schema=[
        Field(name="ratio", dtype=Float64),
        Field(name="newest", dtype=Float64),
        Field(name="numpy", dtype=Float32),
        Field(name="mixed", dtype=Bool),
        Field(name="of_sum", dtype=Int64),
        Field(name="types", dtype=Int64),
        Field(name="no_odd", dtype=Bool),
        Field(name="array", dtype=Float64),
    ],
)
def derived(inputs: dict[str, list]) -> dict[str, list]:
    """Of everything, and in every kind of number."""
    prices = inputs["price"]
    return {
        "ratio": [p / m if p is not None and m else None for p, m in zip(prices, inputs["mean"])],
        "newest": [p[-1] if p else None for p in inputs["last_3_price"]],
        "numpy": [None if p is None else np.float32(p) for p in prices],
        "mixed": [np.int64(7) if p is None else p > 5 if p < 10 else 2**53 + 1 for p in prices],
        "of_sum": [s // 3 for s in inputs["sum_size"]],
        "types": [sum(ord(c) for v in row for c in type(v).__name__) for row in zip(*(inputs[n] for n in sorted(inputs)))],
        "no_odd": [o is None for o in inputs["odd"]],
        "array": list(np.array([np.nan if w is None else w for w in inputs["last_web"]], float)),
    }


service = FeatureService(name="orders", features=[recent, profile, brief, derived], tags={"spine": "orders"})
'''
STORE = """
project: orders
provider: local
registry: registry.db
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
"""
DAY = date(2024, 5, 2)
MIDNIGHT = datetime(2024, 5, 2, tzinfo=UTC)
COLUMNS: dict[str, pa.DataType] = {
    "shop": pa.int64(),
    "size": pa.int64(),
    "price": pa.decimal128(18, 4),
    "whole": pa.decimal128(6, 0),
    "weight": pa.float64(),
    "web": pa.bool_(),
}
BEFORE: list[tuple[Any, ...]] = [
    (1, 1, Decimal("79.3700"), Decimal(3), 0.5, False),
    (2, 2, Decimal("0.2900"), Decimal(4), 0.25, None),
]
ROWS: list[tuple[Any, ...]] = [
    (1, 2**24 + 1, Decimal("79.3701"), Decimal(5), 0.1, True),
    (1, None, None, None, None, None),
    (1, 2**53 + 1, Decimal("99999999999999.9999"), Decimal(999_999), 1e300, False),
    (2, -(2**62) - 1, Decimal("-0.0001"), Decimal(0), -1e300, None),
    (2, -(2**63), Decimal("9007199254740.9930"), Decimal(-7), -0.0, True),
    (2, 2**63 - 1, Decimal("16777217.0000"), Decimal(1), 1e-46, True),
    (3, 2**63 - 1, None, Decimal(2), 3.4028235677973366e38, None),  # no row in the profile
    (3, 2**63 - 1, Decimal("5.0000"), None, 16777217.0, False),
    (4, None, None, None, None, None),
]


class Paths(NamedTuple):
    """What each path made of `ROWS`."""

    columns: tuple[str, ...]
    trained: Floats
    history: pa.Table
    of_training: list[float]
    """The model's scores of what it would be trained on."""
    batch_scores: Floats
    predictions: list[Prediction]
    """Without those of what comes before `ROWS`."""
    over_http: list[Prediction]
    early: list[Prediction]
    """Of `BEFORE`, whose rows online are of their future."""


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """`ROWS` on all paths, with one model."""
    folder = tmp_path_factory.mktemp("paths")
    (folder / "definitions.py").write_text(DEFINITIONS)
    (folder / "feature_store.yaml").write_text(STORE)
    service = load(folder).service("orders")
    write(orders(), folder / "orders.parquet")
    materialize(service, DAY, DAY)
    push_online(service, DAY)
    plan = service.plan
    columns = input_columns(plan, plan.inputs)
    registry = Registry(folder / "models")
    onnx = stumps([0.01 * (place + 1) for place in range(len(columns))])
    registry.register(admit(onnx, plan, name="orders", created_at=0))
    registry.set_alias("orders", "production", 1)
    model = registry.get("orders", 1)
    start = int(MIDNIGHT.timestamp() * 1000)
    history = compute(service, start_ms=start)
    scored = score_history(service, partial(load_model(model).score_table, plan=plan), start_ms=start)
    rows = Cached(open_online_store(folder, service.objects, plan.batch), seconds=60, size=100)
    predictor = Predictor(load_model(model), plan)
    vectors = Vectors(plan, [predictor.needed], service.functions)

    def predicted(table: pa.Table) -> list[Prediction]:
        messages = [vectors.decode(message(service, row)) for row in table.to_pylist()]
        found = predictor.predict(vectors.events(messages, [0] * len(messages)), rows)
        return [decode_prediction(value) for value in found if isinstance(value, bytes)]

    trained = table_matrix(history, plan, columns)
    return Paths(
        columns,
        trained,
        history,
        load_model(model).score([tuple(row) for row in trained.tolist()]).scores,
        scored["score"].to_numpy(),
        predicted(history),
        over_http(service, folder / "models", history),
        predicted(compute(service, end_ms=start)),
    )


def orders() -> pa.Table:
    """The history: two orders of the day before, and `ROWS`, a minute apart."""
    rows = [*BEFORE, *ROWS]
    times = [MIDNIGHT + timedelta(minutes=place - len(BEFORE)) for place in range(len(rows))]
    columns = {name: pa.array([row[place] for row in rows], kind) for place, (name, kind) in enumerate(COLUMNS.items())}
    return pa.table({"id": pa.array(range(len(rows))), "at": pa.array(times, pa.timestamp("ms", tz="UTC")), **columns})


def message(service: Service, row: dict[str, Any]) -> bytes:
    """What the stream writes of a row: decimals as plain numbers."""
    plan = service.plan
    event = {c.name: row[c.name] for c in plan.spine_source.columns}
    features = {f.name: row[f.name] for f in plan.window_features}
    vector = FeatureVector(row["id"], row["at"], plan.short_digest, Origin("orders", 0, 0), 0, True, event, features)
    return msgspec.json.Encoder(decimal_format="number").encode(vector)


def over_http(service: Service, models: Path, table: pa.Table) -> list[Prediction]:
    """What the HTTP service says of the rows, requested with each event as it is published, and with its window features."""
    plan = service.plan
    rows = [
        {
            "event": {c.name: row[c.name] for c in plan.spine_source.columns},
            "features": {f.name: row[f.name] for f in plan.window_features},
        }
        for row in table.to_pylist()
    ]
    body = msgspec.json.Encoder(decimal_format="number").encode({"rows": rows})
    with serving([service], models) as running:
        response = running.request("POST", "/v1/predict/orders", raw=body)
    assert response.status == 200, response.body
    assert response.json["errors"] == 0
    return [msgspec.convert(one, Prediction) for one in response.json["predictions"]]


@pytest.mark.slow
def test_http_has_the_scorers_predictions(paths: Paths) -> None:
    """Inputs, batch rows and scores; what differs is where the event came from, and when."""

    def plain(prediction: Prediction) -> Prediction:
        receipt = msgspec.structs.replace(prediction.receipt, origin=None, arrived_at=0, featured_at=0, scored_at=0)
        return msgspec.structs.replace(prediction, receipt=receipt)

    assert [repr(plain(one)) for one in paths.over_http] == [repr(plain(one)) for one in paths.predictions]
    assert [one.score for one in paths.over_http] == paths.batch_scores.tolist()


def test_inputs_are_the_same_bits(paths: Paths) -> None:
    """What training learns from is what the scorer's receipts say, and gives its model."""
    receipts = [list(prediction.receipt.inputs.values()) for prediction in paths.predictions]
    served = matrix(receipts)  # type: ignore[arg-type]  # a receipt of these has numbers only
    assert [tuple(prediction.receipt.inputs) for prediction in paths.predictions] == [paths.columns] * len(ROWS)
    for place, name in enumerate(paths.columns):
        np.testing.assert_array_equal(served[:, place], paths.trained[:, place], err_msg=name)
        nulls = np.isnan(paths.trained[:, place])
        assert (served[:, place].view(np.int32) == paths.trained[:, place].view(np.int32))[~nulls].all(), name


def test_scores_are_the_same_bits(paths: Paths) -> None:
    """Batch scoring's and the scorer's, each its own way through ONNX Runtime."""
    assert [prediction.score for prediction in paths.predictions] == paths.batch_scores.tolist()
    assert len(set(paths.batch_scores.tolist())) > 1


def test_one_event_has_one_score_on_all_four_ways(paths: Paths) -> None:
    """Training, batch prediction, the scorer and HTTP: of each event the same float, to the bit."""
    ways = zip(paths.of_training, paths.batch_scores.tolist(), paths.predictions, paths.over_http, strict=True)
    scores = [{trained, batch, scorer.score, http.score} for trained, batch, scorer, http in ways]
    assert [len(of_event) for of_event in scores] == [1] * len(ROWS)


def test_batch_rows_are_the_same(paths: Paths) -> None:
    """Of each event the row's time, and why it has none to use: at midnight itself, at its ttl and beyond, and without a row."""
    table = paths.history.to_pylist()
    for view in ("profile", "brief"):
        receipts = [prediction.receipt for prediction in paths.predictions]
        assert [receipt.batch_as_of.get(view) for receipt in receipts] == [row[f"_as_of_{view}"] for row in table]
        assert [receipt.incomplete.get(view) for receipt in receipts] == [row[f"_incomplete_{view}"] for row in table]
    assert [row["_incomplete_brief"] for row in table] == [None] * 5 + ["too_old"] + ["missing"] * 3
    assert [row["brief__largest"] is None for row in table] == [False] * 5 + [True] * 4
    assert [prediction.receipt.complete for prediction in paths.predictions] == [True] * 5 + [False] * 4


def test_a_row_of_the_future_is_on_no_path(paths: Paths) -> None:
    """Events of the day before: history finds no row, and the scorer does not use the newer one that is online."""
    assert len(paths.early) == len(BEFORE)
    for prediction in paths.early:
        assert prediction.receipt.incomplete == {"profile": "too_new", "brief": "too_new"}
        assert not prediction.receipt.complete
        inputs = prediction.receipt.inputs
        assert {inputs[name] for name in ("profile__mean", "profile__orders", "profile__web", "brief__largest")} == {None}


def test_what_is_hard_is_there(paths: Paths) -> None:
    """Nulls, infinities, lists that are shorter, integers that are no float32, and a sum that is no long."""
    x = {name: paths.trained[:, place] for place, name in enumerate(paths.columns)}
    assert np.isnan(x["recent__last_3_price_1"]).any()
    assert np.isinf(x["recent__last_weight"]).any()
    assert 2**24 + 1 in paths.history["recent__last_size"].to_pylist()
    assert 2 * (2**63 - 1) in paths.history["recent__sum_size"].to_pylist()
    assert np.float32(2.0**64) in x["recent__sum_size"]
    assert np.isnan(x["profile__mean"]).tolist() == [row[0] > 2 for row in ROWS]
    assert np.isnan(x["profile__nothing"]).tolist() == [row[0] > 1 for row in ROWS]
    assert set(x["recent__last_web"][~np.isnan(x["recent__last_web"])].tolist()) == {0, 1}
