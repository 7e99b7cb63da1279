"""Every case in ``windows/`` on every engine: the reference, DuckDB, and Flink in both modes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from features.plan import Mode
from features.sql.duckdb import features_sql
from infra.local.broker import Broker
from tests.contract import lockstep
from tests.contract.cases import COLUMNS, TYPES, Case, Row, field, mismatches, name_of, plan_of, read
from tests.contract.reference import Event, vectors
from tests.support.flink import Cluster

ROOT = Path(__file__).parent
CASES = [read(path) for path in sorted((ROOT / "windows").glob("*.txt"))]
MANY_ROWS = 500
"""The reference reads all rows of a case for each row."""
EACH = pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if len(case.rows) > MANY_ROWS else []) for case in CASES],
)
ARROW = {"int64": pa.int64(), "timestamp": pa.int64(), "string": pa.string(), "float64": pa.float64(), "bool": pa.bool_()}


@EACH
def test_reference(case: Case) -> None:
    """The reference gives what the file says, so that the file says what the contract does."""
    plan = plan_of([case])
    events = [Event(row.source, int(row.at or 0), values(row)) for row in history(case)]
    stages = [vectors(stage, plan.spine, events) for stage in plan.windows]
    found = [{name: value for stage in row for name, value in stage.items()} for row in zip(*stages, strict=True)]
    check(case, "history", named(case, dict(zip(queries(case), found, strict=True))))


@EACH
def test_duckdb(case: Case) -> None:
    """DuckDB's one statement gives what the file says."""
    plan = plan_of([case])
    for source in plan.sources:
        rows = [
            {**values(row), "_arrival": place, "_row": place if source.name == plan.spine else None}
            for place, row in enumerate(case.rows)
            if row.source == source.name and row.refused is None
        ]
        connection().register(source.name, pa.Table.from_pylist(rows, arrow_schema()))
    found = connection().sql(features_sql(plan)).to_arrow_table().to_pylist()
    check(case, "history", named(case, {row.pop("_row"): row for row in found}))


@pytest.fixture(scope="module", params=["event_time", "arrival"])
def stream(
    request: pytest.FixtureRequest, broker: Broker, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Mode, dict[str, lockstep.Vectors]]:
    """A mode, and the stream's vectors of all cases in it."""
    mode: Mode = request.param
    return mode, lockstep.vectors(broker, cluster, CASES, mode, tmp_path_factory.mktemp(mode))


@pytest.mark.stack
@pytest.mark.timeout(900)  # the first case of a mode waits for the jobs of all
@EACH
def test_stream(case: Case, stream: tuple[Mode, dict[str, lockstep.Vectors]]) -> None:
    """The stream job gives what the file says of its mode, on Kafka and Flink."""
    mode, found = stream
    check(case, mode, found[case.name])


def check(case: Case, engine: str, found: Mapping[int, Mapping[str, Any] | str]) -> None:
    """Fail with all that differs, without a trace through the runner."""
    wrong = mismatches(case, engine, found)
    if wrong:
        pytest.fail(wrong, pytrace=False)


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """One for all cases."""
    return duckdb.connect(config={"threads": 1})


def arrow_schema() -> pa.Schema:
    """Of the tables that the SQL reads."""
    types = [(c.name, ARROW.get(c.type.kind) or pa.decimal128(c.type.precision, c.type.scale)) for c in COLUMNS]
    return pa.schema([*types, ("_arrival", pa.int64()), ("_row", pa.int64())])


def history(case: Case) -> list[Row]:
    """The rows that history has: the good ones."""
    return [row for row in case.rows if row.is_event and row.refused is None]


def queries(case: Case) -> list[int]:
    """The places of the queries."""
    return [place for place, row in enumerate(case.rows) if row.source == "payments" and row.refused is None]


def named(case: Case, found: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    """The vectors under the names that the case gives its features."""
    return {place: {f.name: row[name_of(f)] for f in case.features} for place, row in found.items()}


def values(row: Row) -> dict[str, Any]:
    """A row as Python values; a key that the table leaves out is the same in all rows."""
    cells = {c.name: field(c, row.cells.get(c.name, "-")) for c in COLUMNS}
    given = {name: None if cell is None else json.loads(cell, parse_float=Decimal) for name, cell in cells.items()}
    read_as = {"float64": float, "decimal": Decimal}
    typed = {name: value if value is None else read_as.get(TYPES[name].kind, lambda v: v)(value) for name, value in given.items()}
    return {**typed, "at": row.at, "card": typed["card"] or 0, "shop": typed["shop"] or ""}
