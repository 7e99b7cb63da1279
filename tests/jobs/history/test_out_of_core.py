"""History that is larger than the memory that it is given: it finishes, with the same values."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from features.errors import SettingError
from features.inputs.arrow import BATCH
from features.plan import OnDemand, Plan, Stage, WindowFeature
from features.service import Resources, Service
from features.times import DAY_MS
from jobs.history.compute import compute, stream_features
from jobs.history.rows_file import write
from tests.support.files import NOW, source_of

ROWS = 90_000
MEMORY_MB = 64
ORDERS = source_of("id long, at timestamp, account long, cents long, weight double, note string", "orders")
FUNCTIONS = (("count", "id"), ("sum", "cents"), ("mean", "weight"), ("last", "weight"))


def doubled(given: dict[str, list[int]]) -> dict[str, list[int | float]]:
    """Whole numbers in the first rows, and others later: a column is of one type all the same."""
    return {
        "twice": [2 * cents if number < BATCH else cents / 2 for number, cents in zip(given["id"], given["cents"], strict=True)]
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """Orders of 2,000 accounts, not in the order of time, with features over a day, one made of two columns, and long notes."""
    folder = tmp_path_factory.mktemp("out of core")
    duckdb.sql(
        f"COPY (SELECT range AS id, {NOW} + (range * 7919 % {ROWS}) * 1000 AS at, hash(range) % 2000 AS account, "
        "hash(range + 1) % 100000 AS cents, (hash(range + 2) % 1000003) / 7.0 AS weight, repeat(md5(range::VARCHAR), 8) AS note "
        f"FROM range({ROWS})) TO '{folder / 'orders.parquet'}' (FORMAT parquet, ROW_GROUP_SIZE 10240)"
    )
    features = tuple(WindowFeature(f"spend__{function}_{column}", function, column, DAY_MS) for function, column in FUNCTIONS)
    plan = Plan(
        service="orders",
        spine="orders",
        sources=(msgspec.structs.replace(ORDERS, history="orders.parquet"),),
        windows=(Stage("orders", ("account",), features),),
        on_demand=(OnDemand("own", ("id", "cents"), (), ("twice",), ""),),
        batch=(),
        inputs=(*(feature.name for feature in features), "own__twice"),
        mode="arrival",
        lateness_ms=0,
    )
    return Service(folder, plan, {"own": doubled}, {"orders": ORDERS}, ())


@pytest.mark.slow
def test_a_history_larger_than_its_memory_gives_the_same_values(service: Service, tmp_path: Path) -> None:
    """To the bit, in the order of the file; what does not fit lies in a folder meanwhile, and is gone afterwards."""
    spill = tmp_path / "a spill"
    small = msgspec.structs.replace(service, resources=Resources(MEMORY_MB, spill))
    spilled = []

    def look(*_: object) -> None:
        spilled.extend(file.stat().st_size for file in spill.rglob("*") if file.is_file())

    out = tmp_path / "out.parquet"
    written = write(stream_features(small, on_progress=look), out)
    found, whole = pq.read_table(out), compute(service)
    assert written.rows == whole.num_rows == ROWS
    assert found.equals(whole)
    assert found["id"].to_pylist() == list(range(ROWS))
    assert found["own__twice"][0].as_py() == 2 * found["cents"][0].as_py()
    assert found["own__twice"][BATCH].as_py() == found["cents"][BATCH].as_py() / 2
    assert max(spilled) > 1 << 20
    assert not [file for file in spill.rglob("*") if file.is_file()]


def test_too_little_memory_is_told(service: Service, tmp_path: Path) -> None:
    """With the setting that gives more."""
    small = msgspec.structs.replace(service, resources=Resources(1, tmp_path))
    with pytest.raises(
        SettingError, match=r"fits into history.memory_mb; got 'Out of Memory Error.*'; give it more, or fewer days"
    ):
        write(stream_features(small), tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == []
