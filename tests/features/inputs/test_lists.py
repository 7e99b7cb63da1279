"""A list feature on its way from definitions through history, training and scoring: the same columns everywhere."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.definitions.load import load
from features.errors import DefinitionError
from features.feast.keys import Key
from features.feast.online import Row
from features.inputs.arrow import floats, table_matrix
from features.inputs.columns import input_columns
from features.inputs.matrix import matrix
from features.plan import Plan
from features.service import Service
from infra.models import registering
from infra.train_settings import TrainSettings
from jobs.audit.compare import compare
from jobs.history.compute import compute, write
from jobs.predict.score import score_history
from jobs.training.split import Split
from jobs.training.train import train
from schemas import FeatureVector, Origin
from schemas.codec import decode_features, encode
from serving.models.registry import Registry
from serving.models.session import load_model
from serving.predict.message import UnscorableError
from serving.predict.vector import Vectors, needed_by
from tests.contract.reference import Event, vectors

DEFINITIONS = """

customer_recent = StreamFeatureView(
    name="customer_recent",
    entities=[customer],
    source=transactions,
    timestamp_field="event_time",
    aggregations=[
        Aggregation(column=column, function=function, time_window=timedelta(days=7), name=f"{function}_{column}")
        for function in ("last_1", "last_4", "count_distinct", "var_samp", "std_pop", "first", "last", "p7", "p99_9", "sum")
        for column in ("amount", "terminal_id")
    ],
)


@on_demand_feature_view(
    sources=[customer_recent[["last_4_amount"]]], mode="python", schema=[Field(name="largest", dtype=Float64)]
)
def recent_amounts(inputs: dict[str, list]) -> dict[str, list]:
    \"\"\"The largest of the last four.\"\"\"
    return {"largest": [max(amounts) for amounts in inputs["last_4_amount"]]}


recent = FeatureService(
    name="recent", features=[transaction_amount, customer_recent, recent_amounts], tags={"spine": "transactions"}
)
"""


@pytest.fixture(scope="module")
def recent(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The fraud example with lists and a service that has them."""
    folder = tmp_path_factory.mktemp("lists")
    (folder / "data").symlink_to(small_data / "data")
    shutil.copy(small_data / "feature_store.yaml", folder)
    (folder / "definitions.py").write_text((small_data / "definitions.py").read_text() + DEFINITIONS)
    return load(folder).service("recent")


@pytest.fixture(scope="module")
def table(recent: Service) -> pa.Table:
    """The service's features over all of history."""
    return compute(recent)


def vector(plan: Plan, row: dict[str, Any]) -> FeatureVector:
    """What the stream would say of a row of history."""
    event = {c.name: float(row[c.name]) if c.type.kind == "decimal" else row[c.name] for c in plan.spine_source.columns}
    features = {f.name: row[f.name] for f in plan.window_features}
    origin = Origin(plan.spine, 0, 0)
    return FeatureVector(row["transaction_id"], row["event_time"], plan.short_digest, origin, 0, True, event, features)


def no_rows(_: Any, keys: Sequence[Key]) -> list[Row | None]:
    """The service has no batch views."""
    return [None] * len(keys)


def test_history_has_the_lists_of_the_reference(recent: Service, table: pa.Table) -> None:
    """Every new function over a file of events, for a customer: a list stays a list, in Parquet too."""
    plan = recent.plan
    spine = table.filter(pc.equal(table["customer_id"], 3))
    events = [Event(plan.spine, row["event_time"], row) for row in spine.to_pylist()]
    (stage,) = plan.windows
    for row, expected in zip(spine.to_pylist(), vectors(stage, plan.spine, events), strict=True):
        near = {name for name, value in expected.items() if value is not None and ("var_samp" in name or "std_pop" in name)}
        assert {name: row[name] for name in near} == pytest.approx({name: expected[name] for name in near}, rel=1e-9)
        assert all(row[name] == value for name, value in expected.items() if name not in near)
    assert table.schema.field("customer_recent__last_4_amount").type.value_type == pa.decimal128(12, 2)


def test_a_sum_of_longs_is_a_long_while_it_can_be_one(recent: Service, table: pa.Table, tmp_path: Path) -> None:
    """Beyond 64 bits it is a decimal, and as exact."""
    assert table.schema.field("customer_recent__sum_terminal_id").type == pa.int64()
    events = pq.read_table(recent.folder / "data" / "transactions.parquet").slice(0, 400)
    large = pa.array([2**62 + 1] * 400)
    write(events.set_column(events.column_names.index("terminal_id"), "terminal_id", large), tmp_path / "large.parquet")
    sums = compute(recent, histories={"transactions": tmp_path / "large.parquet"})["customer_recent__sum_terminal_id"]
    assert {divmod(int(value), 2**62 + 1) for value in sums.to_pylist()} >= {(1, 0), (2, 0), (3, 0)}


def test_a_list_is_a_column_of_lists_in_parquet(table: pa.Table, tmp_path: Path) -> None:
    """What is written is what is read."""
    write(table, tmp_path / "features.parquet")
    assert pq.read_table(tmp_path / "features.parquet").equals(table)


@pytest.mark.slow
def test_the_scorers_inputs_are_those_of_training(recent: Service, table: pa.Table) -> None:
    """The newest value is in the last column, whatever came before is missing first, and both ways give the same bits."""
    plan = recent.plan
    columns = input_columns(plan, plan.inputs)
    assert [c for c in columns if "last_4_amount" in c] == [f"customer_recent__last_4_amount_{n}" for n in (1, 2, 3, 4)]
    trained = table_matrix(table, plan, columns)
    needed = needed_by(plan, plan.inputs)
    vectors = Vectors(plan, [needed], recent.functions)
    messages = [vectors.decode(encode(vector(plan, row))) for row in floats(table).to_pylist()]
    rows = vectors.events(messages, [0] * len(messages)).vectors(needed)
    assert needed.inputs == columns
    np.testing.assert_array_equal(matrix(rows), trained)
    first, newest = columns.index("customer_recent__last_4_amount_1"), columns.index("customer_recent__last_4_amount_4")
    amounts = floats(table)["amount"].to_numpy().astype(np.float32)
    np.testing.assert_array_equal(trained[:, newest], amounts)
    assert np.isnan(trained[:, first]).any()
    assert not np.isnan(trained[:, newest]).any()


def test_a_model_may_have_some_of_a_lists_columns(recent: Service, table: pa.Table) -> None:
    """Chosen inputs are columns too, in any order; those of other lists are not needed."""
    plan = recent.plan
    chosen = ("customer_recent__last_4_amount_4", "customer_recent__last_4_amount_3")
    needed = needed_by(plan, chosen)
    vectors = Vectors(plan, [needed], {})
    (message,) = (vectors.decode(encode(vector(plan, row))) for row in floats(table.slice(0, 1)).to_pylist())
    assert vectors.events([message], [0]).vectors(needed) == [(float(table["amount"][0].as_py()), None)]
    with pytest.raises(DefinitionError, match="customer_recent__last_4_amount_5"):
        needed_by(plan, ("customer_recent__last_4_amount_5",))


def test_a_list_that_is_none_is_no_feature_vector(recent: Service, table: pa.Table) -> None:
    """A number where the plan has a list is another message: it goes to the dead letters."""
    plan = recent.plan
    (row,) = floats(table.slice(0, 1)).to_pylist()
    for value in (5.0, None):
        changed = encode(vector(plan, {**row, "customer_recent__last_4_amount": value}))
        with pytest.raises(UnscorableError, match="customer_recent__last_4_amount"):
            Vectors(plan, [needed_by(plan, plan.inputs)], recent.functions).decode(changed)


def test_lists_are_compared_value_by_value(recent: Service, table: pa.Table) -> None:
    """Stream against batch: a list that differs in one value is a difference."""
    plan = recent.plan
    rows = floats(table.slice(100, 20)).to_pylist()
    vectors = [decode_features(encode(vector(plan, row))) for row in rows]
    assert compare(plan, table, vectors).unexplained == 0
    rows[3]["customer_recent__last_4_amount"][-1] += 1
    vectors = [decode_features(encode(vector(plan, row))) for row in rows]
    assert compare(plan, table, vectors).unexplained == 1


@pytest.mark.slow
def test_a_model_of_lists_is_trained_and_scores(recent: Service, tmp_path: Path) -> None:
    """The registry's manifest has the columns, and batch scoring fills them."""
    registry = Registry(tmp_path)
    config = TrainSettings(label="labels.is_fraud", trees=3).config
    manifest = train(recent, config, Split(date(2018, 4, 20), 7, 7, 7), register=registering(registry)).manifest
    plan = recent.plan
    assert manifest.inputs == input_columns(plan, plan.inputs)
    model = load_model(registry.get("recent", manifest.version))
    scored = score_history(recent, partial(model.score_table, plan=plan), inputs=manifest.inputs)
    assert scored.column_names == [*compute(recent).column_names, "score", "unscorable"]
