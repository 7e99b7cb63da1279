"""Features over history with the windows of a real Flink cluster: DuckDB's table, to the bit."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.definitions.aggregations import FUNCTIONS, find, written
from features.errors import StackError
from features.plan import Plan, Stage, WindowFeature
from features.service import Service
from features.times import DAY_MS
from infra.cli import run
from infra.config import cluster_config
from infra.settings import Settings, StreamSettings
from jobs.cluster.run import require
from jobs.cluster.windows import windows_on
from jobs.history.compute import compute, stream_features
from jobs.history.rows_file import together
from tests.support.files import NOW, source_of
from tests.support.flink import Cluster

pytestmark = pytest.mark.stack

HOUR = DAY_MS // 24
ROWS = 6000
ORDERS = source_of("id long, at timestamp, account string, cents long, price decimal(12,2), weight double", "orders")
RETURNS = source_of("id long, at timestamp, account string, cents long, price decimal(12,2), weight double", "returns")
PARAMETERS = {"last_<n>": "last_3", "p<percent>": "p50"}


def bits(table: pa.Table) -> list[Any]:
    """The table so that equal lists are equal bits: -0.0 is not 0.0, and NaN is itself."""

    def of(column: pa.Array) -> Any:
        if pa.types.is_list(column.type):
            return column.offsets.to_pylist(), of(column.flatten())
        if pa.types.is_floating(column.type):
            return column.is_null().to_pylist(), column.fill_null(0).view(pa.int64()).to_pylist()
        return column.to_pylist()

    return [table.schema, *(of(column.combine_chunks()) for column in table.itercolumns())]


def service_of(folder: Path) -> Service:
    """Every function over every type, of a spine and, with windows that may be empty, of another source; no order, some nulls."""
    for place, name in enumerate(("orders", "returns")):
        number = [f"CAST(hash(range * 8 + {4 * place + column}) >> 12 AS BIGINT)" for column in range(4)]
        columns = {
            "id": "range",
            "at": f"{NOW} + {number[0]} % {ROWS} * 60000",
            "account": f"'account ' || {number[0]} % 40",
            "cents": f"{number[1]} % 1000000000000000 - 500000000000000",
            "price": f"CAST({number[2]} % 1000000000 - 500000000 AS DECIMAL(12,2)) / 4",
            "weight": f"({number[3]} % 64000 - 32000) / 8.0",
        }
        missing = {column: f"CASE WHEN range % 7 < 6 THEN {columns[column]} END" for column in ("cents", "price", "weight")}
        selected = ", ".join(f"{sql} AS {column}" for column, sql in (columns | missing).items())
        duckdb.sql(f"COPY (SELECT {selected} FROM range({ROWS})) TO '{folder / name}.parquet' (FORMAT parquet)")
    features = [
        WindowFeature(f"view__{function}_{column.name}", function, column.name, 30 * HOUR)
        for function in (PARAMETERS.get(name, name) for name in written())
        for column in ORDERS.columns
        if column.name in {"cents", "price", "weight", "account"} and column.type.kind in find(function).row.takes
    ]
    sources = tuple(msgspec.structs.replace(one, history=f"{one.name}.parquet") for one in (ORDERS, RETURNS))
    short = tuple(msgspec.structs.replace(one, name=one.name.replace("view", "other"), window_ms=HOUR) for one in features)
    stages = Stage("orders", ("account",), tuple(features)), Stage("returns", ("account",), short)
    names = tuple(feature.name for stage in stages for feature in stage.features)
    plan = Plan("orders", "orders", sources, stages, (), (), names, "arrival", DAY_MS)
    return Service(folder, plan, {}, {"orders": ORDERS, "returns": RETURNS}, ())


def on_cluster(service: Service, cluster: Cluster, folder: Path, **settings: Any) -> pa.Table:
    """What the cluster gives."""
    of = Settings(stream=StreamSettings(parallelism=2, **settings), run_dir=str(folder / "a run"))
    windows = partial(windows_on, config=cluster_config(of, service.folder, cluster.rest))
    return together(stream_features(service, windows=windows))


def test_every_function_of_every_type_has_duckdbs_value(cluster: Cluster, tmp_path: Path) -> None:
    """On two TaskManagers: to the bit where rule 7 says so and for sums that doubles hold, variances within its bound."""
    service = service_of(tmp_path)
    found, wanted = on_cluster(service, cluster, tmp_path), compute(service)
    assert len(cluster.task_managers_of("features.orders")) == 2
    assert list((tmp_path / "a run" / "features").iterdir()) == [], "its files are deleted"
    types: Mapping[str, Any] = {column.name: column.type for column in ORDERS.columns}
    near = {f.name for f in service.plan.window_features if f.function.startswith(("var", "std"))}
    exact = [name for name in wanted.column_names if name not in near]
    assert bits(found.select(exact)) == bits(wanted.select(exact))
    for feature in (feature for feature in service.plan.window_features if feature.name in near):
        here, there = (table[feature.name].to_numpy() for table in (wanted, found))
        np.testing.assert_allclose(there, here, rtol=feature.aggregation.relative(types[feature.column]))
    assert set(FUNCTIONS) == {f.aggregation.function for f in service.plan.window_features}


def test_state_in_rocksdb_gives_the_same_values(cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """Two stages over 10,000 events."""
    assert bits(on_cluster(small, cluster, tmp_path, state_backend="rocksdb")) == bits(compute(small))


def test_the_command_writes_the_same_file(
    cluster: Cluster, small_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With batch rows, functions on demand and labels: of some days, or of events in a file, which the history has too."""
    monkeypatch.setenv("HEADRACE_STREAM__PARALLELISM", "2")
    monkeypatch.setenv("HEADRACE_STREAM__CLUSTER", cluster.rest)
    project = ["--project", str(small_copy)]
    assert run(["batch-views", "fraud", "--from", "2018-05-01", "--to", "2018-05-06", *project]) == 0
    events = tmp_path / "some events.parquet"
    history = pq.read_table(small_copy / "data" / "transactions.parquet")
    rows = random.Random(1).sample(range(history.num_rows), 500)
    pq.write_table(history.take(rows), events)
    for options in (["--from", "2018-05-02", "--to", "2018-05-05", "--label"], ["--events", str(events)]):
        files = {engine: tmp_path / f"{engine}.parquet" for engine in ("duckdb", "flink")}
        for engine, out in files.items():
            assert run(["features", "fraud", "--engine", engine, "--out", str(out), *options, *project]) == 0
        found, wanted = (pq.read_table(files[engine]) for engine in ("flink", "duckdb"))
        assert wanted.num_rows >= 500
        assert bits(found) == bits(wanted), options


def test_a_cluster_with_too_few_slots_is_refused_before_anything_is_read(cluster: Cluster) -> None:
    """In one line, and so is one that is not there."""
    with pytest.raises(StackError, match=r"4 slots.*stream\.parallelism is 5"):
        require(cluster.rest, 5)
    with pytest.raises(StackError, match=r"127\.0\.0\.1:1/overview did not reply"):
        require("127.0.0.1:1", 1)
